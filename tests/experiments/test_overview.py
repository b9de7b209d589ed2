"""The overview: each experiment in short, and what in it needs attention."""

from typing import Any

import pytest

from experiments import lifecycle
from experiments.acts import do
from experiments.audit import Deed
from experiments.counting import EXPOSURES
from experiments.overview import Concern
from experiments.overview import Overviews
from experiments.overview import Summary
from experiments.overview import overview
from experiments.storage.cells import CellKey
from experiments.storage.store import Store
from experiments.times import day_of
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny
from tests.experiments.house import DAY
from tests.experiments.house import House

_TWO = [{"key": "a", "role": "mass"}, {"key": "b", "role": "mass"}]
_RAIL = {
    "key": "gone", "event": "Unsubscribed", "kind": "conversion", "role": "guardrail", "direction": "decrease",
    "limit": 0.02,
}


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


def _summary(house: House, key: str = "tiny") -> Summary:
    found = overview(house.store, snapshot=house.snapshots.refresh(), now_ms=house.now_ms)
    return next(one for one in found if one.stored.experiment.key == key)


def _concerns(house: House, key: str = "tiny") -> tuple[Concern, ...]:
    return _summary(house, key).concerns


def _count(house: House, key: str, *, day: int, **visitors_by_arm: int) -> None:
    """Count visitors of a day, without the events that they come from."""
    cells = {
        CellKey(key, 1, day, "everyone-else", arm, False, EXPOSURES): (n, n, float(n))
        for arm, n in visitors_by_arm.items()
    } | {
        CellKey(key, 1, day, "everyone-else", arm, False, "signup"): (n, 0, 0.0) for arm, n in visitors_by_arm.items()
    }
    house.store.transact(lambda session: session.cells.add(cells))


def test_a_sound_experiment_needs_nobody(house: House) -> None:
    key = house.start(spring_mailing(policy={"kind": "thompson"}))
    house.record(*(house.exposure(key, f"v{n}") for n in range(40)))
    summary = _summary(house, key)
    assert (summary.visitors_by_day, summary.is_frozen) == ({day_of(house.now_ms): 40}, False)
    assert [concern for concern in summary.concerns if concern.kind != "intervals"] == []


def test_its_headline_is_that_of_the_report(house: House) -> None:
    key = house.start(spring_mailing(policy={"kind": "thompson"}))
    assert _summary(house, key).headline == "Nobody has been exposed yet." == house.report(key)["verdict"]["headline"]
    names = [f"v{n}" for n in range(500)]
    house.record(*(house.exposure(key, name, womens=True) for name in names))
    house.record(*(
        house.event(name, "Order Completed") for name in names
        if house.evaluate(key, name, womens=True).assignment.arm == "womens-letter"
    ))
    headline = _summary(house, key).headline
    assert headline is not None and headline.startswith("Tailor for womens-shoppers")
    assert headline == house.report(key)["verdict"]["headline"]


@pytest.mark.parametrize("objective", ["profit", "revenue"])
def test_its_headline_is_that_of_the_report_for_money_too(house: House, objective: str) -> None:
    key = house.start(spring_mailing(objective=objective))
    names = [f"v{n}" for n in range(300)]
    house.record(*(house.exposure(key, name, womens=True) for name in names))
    house.record(*(house.event(name, "Order Completed", revenue=5) for name in names[::3]))
    assert _summary(house, key).headline == house.report(key)["verdict"]["headline"]


def test_drafts_and_archived_ones_are_named_and_not_worked_out(house: House) -> None:
    lifecycle.create(house.store, tiny(), deed=Deed("ann", house.now_ms))
    assert _summary(house)[1:] == (False, None, {}, (), 0)
    for name in ("start", "stop", "archive"):
        house.act("tiny", name)  # type: ignore[arg-type]
    assert _summary(house)[1:] == (False, None, {}, (), 0)


def test_a_whole_day_without_a_new_visitor_is_noticed_only_while_it_runs(house: House) -> None:
    house.start(tiny())
    assert _concerns(house) == ()
    house.now_ms += DAY // 2
    assert _concerns(house) == ()
    house.now_ms += DAY
    assert _concerns(house) == (Concern("no_visitors"),)
    house.record(house.exposure("tiny", "ann"))
    assert _concerns(house) == ()
    house.now_ms += DAY
    assert _concerns(house) == ()
    house.now_ms += DAY
    assert _concerns(house) == (Concern("no_visitors"),)
    house.act("tiny", "pause")
    assert _concerns(house) == ()


def test_no_outcome_is_noticed_once_enough_visitors_have_had_their_time(house: House) -> None:
    house.start(tiny(arms=_TWO))
    today = day_of(house.now_ms)
    _count(house, "tiny", day=today - 16, a=50, b=49)
    _count(house, "tiny", day=today, a=60, b=60)
    assert _concerns(house) == ()
    _count(house, "tiny", day=today - 16, a=1)
    assert _concerns(house) == (Concern("no_outcomes", ("signup",)),)


def test_shares_that_are_not_as_planned_are_the_most_urgent(house: House) -> None:
    house.start(tiny(arms=_TWO))
    _count(house, "tiny", day=day_of(house.now_ms) - 20, a=900, b=100)
    assert [concern.kind for concern in _concerns(house)] == ["sample_ratio", "no_outcomes"]


def test_a_broken_guardrail_names_arm_and_metric(house: House) -> None:
    house.start(tiny(arms=_TWO, metrics=[*tiny()["metrics"], _RAIL]))
    names = [f"v{n}" for n in range(200)]
    house.record(*(house.exposure("tiny", name) for name in names))
    assert _concerns(house) == ()
    house.record(*(
        house.event(name, "Unsubscribed") for name in names if house.evaluate("tiny", name).assignment.arm == "b"
    ))
    assert _concerns(house) == (Concern("guardrail", ("b", "gone")),)


def test_a_segment_past_its_day_of_review_is_named_until_it_stops(house: House) -> None:
    document: dict[str, Any] = spring_mailing()
    # The tests' clock shows a day in October 2024.
    document["segments"][0]["review_by"] = "2024-10-04"
    house.start(document)
    assert _concerns(house, "spring-mailing") == (Concern("review_soon", ("womens-shoppers",)),)
    house.now_ms += DAY
    assert _concerns(house, "spring-mailing") == (Concern("review", ("womens-shoppers",)),)
    house.act("spring-mailing", "stop")
    assert _concerns(house, "spring-mailing") == ()


def test_a_frozen_one_says_so(house: House) -> None:
    house.start(tiny())
    do(house.store, "tiny", "freeze", deed=Deed("ann", house.now_ms))
    assert _summary(house).is_frozen


def test_looking_again_shows_whatever_has_changed_since(house: House) -> None:
    overviews = Overviews()

    def look() -> list[Summary]:
        snapshot = house.snapshots.refresh()
        again = overviews.take(house.store, snapshot=snapshot, now_ms=house.now_ms)
        assert again == overviews.take(house.store, snapshot=snapshot, now_ms=house.now_ms)
        assert again == overview(house.store, snapshot=snapshot, now_ms=house.now_ms)
        return again

    seen = [look()]
    house.start(tiny(arms=_TWO, metrics=[*tiny()["metrics"], _RAIL]))
    house.start(spring_mailing())
    seen.append(look())
    names = [f"v{n}" for n in range(60)]
    for step in (
        lambda: house.record(*(house.exposure("tiny", name) for name in names)),
        lambda: house.record(*(house.event(name, "Signed Up") for name in names[::2])),
        lambda: house.record(*(
            house.event(name, "Unsubscribed") for name in names
            if house.evaluate("tiny", name).assignment.arm == "b"
        )),
        lambda: do(house.store, "tiny", "freeze", deed=Deed("ann", house.now_ms)),
        lambda: do(house.store, "tiny", "unfreeze", deed=Deed("ann", house.now_ms)),
        lambda: setattr(house, "now_ms", house.now_ms + 3 * DAY),
        lambda: house.act("tiny", "pause"),
        lambda: house.act("tiny", "stop"),
        lambda: house.act("tiny", "archive"),
    ):
        step()
        seen.append(look())
    # Sign-ups change no line of it, and what is let go is as it was before.
    assert len({str(one) for one in seen}) == len(seen) - 2
