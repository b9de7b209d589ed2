"""Holds: people keep weights where they are or on the winners, and let them go again; the ledger can be recomputed."""

from contextlib import nullcontext
from typing import Any

import pytest

from experiments import lifecycle
from experiments.acts import ACTS
from experiments.acts import AnyAct
from experiments.acts import do
from experiments.acts import open_acts
from experiments.audit import Deed
from experiments.audit import Selection
from experiments.audit import audit_of
from experiments.document import parse_document
from experiments.errors import FrozenDocument
from experiments.errors import InvalidReason
from experiments.errors import InvalidTransition
from experiments.errors import VerdictChanged
from experiments.final_allocation import final_arms
from experiments.final_allocation import final_weights
from experiments.holds import finals_of
from experiments.holds import finish
from experiments.ledger import Decision
from experiments.ledger import ledger_of
from experiments.lifecycle import find
from experiments.lifecycle import restraints
from experiments.reading.reasons import MAX_REASON
from experiments.reading.reasons import parse_reason
from experiments.reallocation import reallocate_due
from experiments.storage.store import Store
from experiments.verification import verify
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny
from tests.experiments.house import HOUR
from tests.experiments.house import House
from tests.experiments.tampering import tamper

_TWO = [{"key": "a", "role": "mass"}, {"key": "b", "role": "mass"}]
_EAGER = {"kind": "thompson", "every": "1h", "burn_in": 0, "burn_in_conversions": 0, "max_step": 0.1}
_WOMEN = "womens-shoppers"


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


def _do(house: House, key: str, name: AnyAct, *, reason: str = "") -> None:
    do(house.store, key, name, deed=Deed("ann@shop.example", house.now_ms, reason))
    house.snapshots.refresh()


def _ledger(house: House, key: str) -> list[Decision]:
    return house.store.read(lambda session: ledger_of(session, key))


def _serve(
    house: House, key: str, *, visitors: int, happy_arms: tuple[str, ...], event: str = "Signed Up", **context: Any
) -> None:
    """Expose visitors, of whom those in some arms convert."""
    names = [f"v{index}" for index in range(visitors)]
    house.record(*(house.exposure(key, name, **context) for name in names))
    house.record(*(
        house.event(name, event) for name in names if house.evaluate(key, name, **context).assignment.arm in happy_arms
    ))


def test_frozen_weights_stay_where_they_are_until_they_are_unfrozen(house: House) -> None:
    key = house.start(tiny(arms=_TWO, policy=_EAGER))
    _serve(house, key, visitors=300, happy_arms=("b",))
    house.reallocate(key)
    _do(house, key, "freeze", reason="The shop moves house.")
    for _ in range(3):
        house.now_ms += HOUR
        assert reallocate_due(house.store, now_ms=house.now_ms) == []
    with pytest.raises(InvalidTransition, match="frozen"):
        house.reallocate(key)
    started, moved, frozen = _ledger(house, key)
    assert (frozen["act"], frozen["kind"], frozen["epoch"]) == ("freeze", "acted", 2)
    assert (frozen["actor"], frozen["reason"]) == ("ann@shop.example", "The shop moves house.")
    assert frozen["weights"] == moved["weights"]
    assert [row["frozen"] for row in (started, moved, frozen)] == [False, False, True]
    _do(house, key, "unfreeze", reason="It has moved.")
    house.now_ms += HOUR
    (row,) = reallocate_due(house.store, now_ms=house.now_ms)
    assert row.epoch == 3
    assert verify(house.store) == []


def test_a_final_allocation_sends_everybody_the_winner_at_once_and_unfreezing_takes_it_back(house: House) -> None:
    key = house.start(spring_mailing(policy={"kind": "thompson"}))
    _serve(house, key, visitors=600, happy_arms=("womens-letter",), event="Order Completed", womens=True)
    before = _ledger(house, key)[-1]["weights"]
    finals = finals_of(house.store, key, now_ms=house.now_ms).finals
    assert finals[_WOMEN] == {"arm": "womens-letter", "call": "tailor"}
    assert finals["everyone-else"]["arm"] == finals["no-personalisation"]["arm"] == "one-letter"
    _do(house, key, "finish", reason="The verdict is in.")
    row = _ledger(house, key)[-1]
    assert (row["act"], row["kind"], row["epoch"], row["frozen"]) == ("finish", "published", 2, True)
    assert row["finals"] == finals
    assert row["weights"][_WOMEN] == {"nothing": 0.0001, "one-letter": 0.0001, "womens-letter": 0.9998}
    assert row["weights"]["everyone-else"] == {"nothing": 0.0001, "one-letter": 0.9999}
    arms = {house.evaluate(key, f"new-{n}", womens=True).assignment.arm for n in range(200)}
    assert "womens-letter" in arms and len(arms) <= 2
    _do(house, key, "unfreeze")
    back = _ledger(house, key)[-1]
    assert (back["act"], back["epoch"], back["weights"], back["frozen"]) == ("unfreeze", 3, before, False)
    assert verify(house.store) == []


def test_what_is_finished_while_frozen_goes_back_to_the_weights_before_both(house: House) -> None:
    key = house.start(tiny(arms=_TWO, policy=_EAGER))
    before = _ledger(house, key)[-1]["weights"]
    for name in ("freeze", "finish", "pause", "resume", "unfreeze"):
        _do(house, key, name)
    rows = _ledger(house, key)
    assert [row["frozen"] for row in rows] == [False, True, True, True, True, False]
    assert rows[2]["weights"]["everyone-else"] == {"a": 0.9999, "b": 0.0001}
    assert rows[-1]["weights"] == before
    assert verify(house.store) == []


def test_what_was_confirmed_is_what_is_done(house: House) -> None:
    key = house.start(spring_mailing(policy={"kind": "thompson"}))
    shown = finals_of(house.store, key, now_ms=house.now_ms).finals
    _serve(house, key, visitors=600, happy_arms=("womens-letter",), event="Order Completed", womens=True)
    with pytest.raises(VerdictChanged, match="look at it again"):
        finish(house.store, key, deed=Deed("ann", house.now_ms), confirmed=shown)
    assert len(_ledger(house, key)) == 1
    again = finals_of(house.store, key, now_ms=house.now_ms).finals
    finish(house.store, key, deed=Deed("ann", house.now_ms), confirmed=again)
    assert _ledger(house, key)[-1]["finals"] == again


def test_where_no_message_pays_the_winner_is_the_control() -> None:
    experiment = parse_document(spring_mailing())
    verdict: Any = [
        {"segment": _WOMEN, "call": "none", "arm": "womens-letter"},
        {"segment": "everyone-else", "call": "keep_testing", "arm": "one-letter"},
    ]
    finals = final_arms(experiment, verdict)
    assert finals == {
        _WOMEN: {"arm": "nothing", "call": "none"},
        "everyone-else": {"arm": "one-letter", "call": "keep_testing"},
        "no-personalisation": {"arm": "one-letter", "call": None},
    }
    weights = final_weights(experiment, finals)
    assert weights[_WOMEN] == {"nothing": 9998, "one-letter": 1, "womens-letter": 1}
    assert {sum(arms.values()) for arms in weights.values()} == {10_000}


@pytest.mark.parametrize(("done", "refused", "rule"), [
    ((), "freeze", "draft: freeze needs running or paused"),
    (("start", "stop"), "finish", "stopped: finish needs running or paused"),
    (("start", "stop"), "unfreeze", "stopped"),
    (("start",), "unfreeze", "not frozen"),
    (("start", "freeze"), "freeze", "frozen already"),
])
def test_what_the_state_forbids_is_refused(
    house: House, done: tuple[AnyAct, ...], refused: AnyAct, rule: str
) -> None:
    lifecycle.create(house.store, tiny(), deed=Deed("ann", house.now_ms))
    for name in done:
        _do(house, "tiny", name)
    with pytest.raises(InvalidTransition, match=rule):
        _do(house, "tiny", refused)
    assert len(_ledger(house, "tiny")) == len(done)


@pytest.mark.parametrize("done", [
    (), ("start",), ("start", "freeze"), ("start", "finish"), ("start", "pause"), ("start", "pause", "freeze"),
    ("start", "stop"), ("start", "freeze", "stop"), ("start", "stop", "archive"),
])
def test_what_is_said_to_be_open_can_be_done_and_nothing_else(house: House, done: tuple[AnyAct, ...]) -> None:
    for name in ACTS:
        key = f"for-{name}"
        lifecycle.create(house.store, tiny(key=key), deed=Deed("ann", house.now_ms))
        for earlier in done:
            _do(house, key, earlier)
        state, found = house.store.read(lambda session, key=key: (find(session, key).state, restraints(session, key)))
        with nullcontext() if name in open_acts(state, found) else pytest.raises(InvalidTransition):
            _do(house, key, name)


def test_a_frozen_experiment_changes_its_policy_but_not_its_arms_and_no_weight_moves(house: House) -> None:
    key = house.start(tiny(arms=_TWO))
    _do(house, key, "freeze")
    three = tiny(arms=[*_TWO, {"key": "c", "role": "mass"}])
    with pytest.raises(FrozenDocument, match="frozen"):
        lifecycle.replace(house.store, key, three, deed=Deed("ann", house.now_ms))
    other = tiny(arms=_TWO, policy={"kind": "fixed", "shares": {"a": 0.9, "b": 0.1}})
    lifecycle.replace(house.store, key, other, deed=Deed("ann", house.now_ms))
    row = _ledger(house, key)[-1]
    assert (row["act"], row["epoch"], row["frozen"]) == ("replace", 1, True)
    _do(house, key, "unfreeze")
    lifecycle.replace(house.store, key, {**other, "name": "Another"}, deed=Deed("ann", house.now_ms))
    assert _ledger(house, key)[-1]["weights"]["everyone-else"] != row["weights"]["everyone-else"]
    assert verify(house.store) == []


def test_every_act_is_told_with_who_and_why_in_both_logs(house: House) -> None:
    lifecycle.create(house.store, tiny(), deed=Deed("ann", house.now_ms))
    acts: list[AnyAct] = ["start", "pause", "resume", "freeze", "finish", "unfreeze", "stop", "archive"]
    for number, name in enumerate(acts):
        _do(house, "tiny", name, reason=f"Reason {number}")
    rows = _ledger(house, "tiny")
    assert [(row["act"], row["reason"]) for row in rows] == [(name, f"Reason {n}") for n, name in enumerate(acts)]
    audit = audit_of(house.store, Selection(None, "tiny", None, 100)).rows[::-1][1:]
    told = [(row["action"], row["actor"], row["details"]["reason"]) for row in audit]
    assert told == [(f"experiment {name}", "ann@shop.example", f"Reason {n}") for n, name in enumerate(acts)]
    assert verify(house.store) == []


def test_a_final_allocation_that_was_changed_afterwards_is_found(house: House) -> None:
    key = house.start(tiny(arms=_TWO))
    _do(house, key, "finish")
    house.store.transact(
        lambda session: tamper(
            session.connection, "UPDATE ledger SET body = replace(body, '\"arm\":\"a\"', ?)", '"arm":"b"'
        )
    )
    assert any("ledger of tiny" in fault for fault in verify(house.store))


@pytest.mark.parametrize("text", ["", "   ", "a\nb", "\x00", "\ud800", "x" * (MAX_REASON + 1), 5, None, ["why"]])
def test_what_is_no_reason_is_refused(text: object) -> None:
    with pytest.raises(InvalidReason, match="reason: "):
        parse_reason(text)


@pytest.mark.parametrize("text", ["Sold out.", "<script>alert(1)</script>", "مرحبا 👩‍👩‍👧", "x" * MAX_REASON])
def test_a_reason_is_kept_as_it_is_written(text: str) -> None:
    assert parse_reason(f" {text} ".strip()) == text
