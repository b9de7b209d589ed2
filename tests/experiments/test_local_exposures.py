"""Exposures of local evaluation: the arm is drawn again, in the epoch that the rule's key names."""

from collections import Counter
from typing import Any

import pytest

from experiments import lifecycle
from experiments.counting import EXPOSURES
from experiments.epochs import Epochs
from experiments.audit import Deed
from experiments.receipts import Receipt
from experiments.storage.store import Store
from experiments.verification import verify
from tests.experiments.documents import at_home
from tests.experiments.house import House

FANS = {"womens": True, "tags": ["news"]}


class Home(House):
    """A house with the one experiment that SDKs may evaluate."""

    def reweigh(self, **share_by_arm: float) -> None:
        """Publish an epoch of these shares."""
        shares = {name.replace("_", "-"): share for name, share in share_by_arm.items()}
        document = at_home(policy={"kind": "fixed", "max_step": 1, "shares": shares})
        lifecycle.replace(self.store, "at-home", document, deed=Deed("test", self.now_ms))
        self.snapshots.refresh()

    def drawn(self, visitor: str, **attributes: Any) -> str:
        """The arm of a visitor in the newest epoch."""
        return self.evaluate("at-home", visitor, **attributes).assignment.arm

    def report_exposure(
        self, visitor: str, arm: object, *, epoch: object, trusted: bool = False, **context: Any
    ) -> Receipt:
        """Say that a visitor reached the slot, as a tracking plugin does."""
        event = self.event(visitor, "Experiment Viewed", experimentId=f"at-home@{epoch}", variationId=arm)
        [receipt] = self.record({**event, "context": context}, trusted=trusted)
        return receipt

    def counted(self, *, asserted: bool = False) -> Counter[tuple[int, str, str]]:
        """Visitors by epoch, segment and arm."""
        rows = [row for row in self.cells("at-home") if row.key.metric == EXPOSURES]
        return Counter({
            (row.key.epoch, row.key.segment, row.key.arm): row.n for row in rows if row.key.asserted == asserted
        })


@pytest.fixture(name="home")
def _home(store: Store) -> Home:
    home = Home(store)
    home.start(at_home())
    return home


def test_an_exposure_is_counted_under_the_epoch_it_names_whatever_today_s_is(home: Home) -> None:
    visitors = [f"v{number}" for number in range(300)]
    drawn = {visitor: home.drawn(visitor, **FANS) for visitor in visitors}
    home.reweigh(letter=0.05, card=0.05, for_fans=0.05, for_two=0.85)
    moved = [visitor for visitor in visitors if home.drawn(visitor, **FANS) != drawn[visitor]]
    assert len(moved) > 100
    for visitor in visitors:
        assert home.report_exposure(visitor, drawn[visitor], epoch=1, traits=FANS).status == "accepted"
    assert home.counted() == Counter((1, "secret-fans", arm) for arm in drawn.values())
    assert home.counted(asserted=True) == Counter()
    assert verify(home.store) == []


def test_no_arm_loses_more_of_its_visitors_than_another_when_the_epoch_has_changed(home: Home) -> None:
    drawn = {f"v{number}": home.drawn(f"v{number}") for number in range(400)}
    home.reweigh(letter=0.9, card=0.05, for_fans=0.025, for_two=0.025)
    fates = Counter((arm, home.report_exposure(visitor, arm, epoch=1).status) for visitor, arm in drawn.items())
    assert fates == Counter((arm, "accepted") for arm in drawn.values())
    assert {arm for arm, _ in fates} == {"nothing", "letter", "card"}


def test_an_arm_that_was_not_drawn_is_kept_apart_and_out_of_inference(home: Home) -> None:
    other = next(arm for arm in ("letter", "card") if arm != home.drawn("v1"))
    assert home.report_exposure("v1", other, epoch=1).status == "accepted"
    assert home.counted() == Counter()
    assert home.counted(asserted=True) == Counter({(1, "secret-nameless", other): 1})
    assert home.report("at-home")["diagnostics"]["asserted"] == 1
    # What was said first stands: to admit the drawn arm later would admit visitors by their arm.
    assert home.report_exposure("v1", home.drawn("v1"), epoch=1).status == "accepted"
    assert home.counted() == Counter()
    assert verify(home.store) == []


def test_attributes_decide_the_segment_and_none_is_an_answer_too(home: Home) -> None:
    document = at_home(key="strangers", segments=[
        {"key": "strangers", "kind": "behavioral", "rule": {"womens": {"$exists": False}}},
        *at_home()["segments"],
    ])
    home.start(document)
    arm = home.evaluate("strangers", "v1").assignment.arm
    [receipt] = home.record(home.event("v1", "Experiment Viewed", experiment_id="strangers@1", variation_id=arm))
    assert receipt.status == "accepted"
    [cell] = [row.key for row in home.cells("strangers") if row.key.metric == EXPOSURES]
    assert (cell.segment, cell.asserted) == ("strangers", False)


def test_consent_to_measurement_alone_is_held_against_its_own_segment(home: Home) -> None:
    arm = home.drawn("v1", consent="measure", **FANS)
    assert home.report_exposure("v1", arm, epoch=1, traits=FANS, consent="measure").status == "accepted"
    assert home.counted() == Counter({(1, "no-personalisation", arm): 1})


@pytest.mark.parametrize(
    ("epoch", "arm", "traits", "code"),
    [
        ("2", "letter", {}, "unknown_epoch"),
        ("0", "letter", {}, "unknown_epoch"),
        ("999999999", "letter", {}, "unknown_epoch"),
        ("", "letter", {}, "unknown_epoch"),
        ("-1", "letter", {}, "unknown_epoch"),
        ("1@1", "letter", {}, "unknown_epoch"),
        ("9" * 5000, "letter", {}, "unknown_epoch"),
        ("1", "postcard", {}, "unknown_arm"),
        ("1", None, {}, "unknown_arm"),
        ("1", 1, {}, "unknown_arm"),
        ("1", "letter", {"womens": "yes"}, "invalid_traits"),
    ],
)
def test_what_cannot_be_held_against_a_draw_is_rejected_by_name(
    home: Home, epoch: str, arm: object, traits: dict[str, Any], code: str
) -> None:
    receipt = home.report_exposure("v1", arm, epoch=epoch, traits=traits)
    assert (receipt.status, receipt.code) == ("rejected", code)
    assert home.cells("at-home") == []


@pytest.mark.parametrize("act", ["pause", "stop"])
def test_while_it_does_not_run_nobody_new_is_counted(home: Home, act: lifecycle.Act) -> None:
    home.act("at-home", act)
    fates = {home.report_exposure(f"v{number}", arm, epoch=1).code for number, arm in enumerate(["nothing", "letter"])}
    assert fates == {"not_running"}


def test_without_the_epoch_or_without_local_evaluation_a_client_needs_a_token(home: Home) -> None:
    [receipt] = home.record(home.event("v1", "Experiment Viewed", experiment_id="at-home", variation_id="letter"))
    assert receipt.code == "token_required"
    home.start(at_home(key="hosted", local_evaluation=False))
    [receipt] = home.record(home.event("v1", "Experiment Viewed", experiment_id="hosted@1", variation_id="letter"))
    assert receipt.code == "token_required"


def test_a_server_may_name_the_epoch_too(home: Home) -> None:
    arm = home.drawn("v1")
    home.reweigh(letter=0.25, card=0.65, for_fans=0.05, for_two=0.05)
    assert home.report_exposure("v1", arm, epoch=1, trusted=True).status == "accepted"
    assert home.counted() == Counter({(1, "secret-nameless", arm): 1})


def test_plans_of_many_epochs_take_bounded_room(home: Home) -> None:
    for step in range(40):
        home.reweigh(letter=0.4 + 0.1 * (step % 2), card=0.4 - 0.1 * (step % 2), for_fans=0.1, for_two=0.1)
    entry = home.snapshots.latest.live("at-home")
    assert entry is not None and entry.plan is not None
    newest, epochs = entry.plan, Epochs()
    assert newest.allocation.epoch == 41
    for epoch in [*range(1, 42), *range(1, 42)]:
        plan = home.store.read(lambda session: epochs.plan(session, newest, epoch=epoch))
        assert plan is not None and plan.allocation.epoch == epoch
    assert len(epochs._plans) == 32
