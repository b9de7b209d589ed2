"""Frequency caps: who is left out of a list, in every arm alike, and that a list may always be repeated."""

from collections import Counter
from typing import Any

import pytest
from scipy import stats as scipy_stats

from experiments.amendments import changes_while_started
from experiments.assigning import Order
from experiments.assigning import assign
from experiments.document import parse_document
from experiments.errors import Capped
from experiments.errors import InvalidDocument
from experiments.evaluation import Asking
from experiments.frequency.caps import Cap
from experiments.frequency.caps import cap_of
from experiments.frequency.reached import CAPPED
from experiments.model import Frequency
from experiments.signing import pseudonym
from experiments.storage.store import Store
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny
from tests.experiments.house import DAY
from tests.experiments.house import House
from tests.experiments.house import SECRETS

NAMES = [f"v{number}" for number in range(60)]


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


def mailed(
    house: House, key: str, call: str, *, names: list[str] = NAMES, cap: Cap | None = None, **said: Any
) -> dict[str, str]:
    """Who got a message by a list, and which arm."""
    asking = Asking(house.now_ms, "personalise", 90 * 86_400)
    answers = assign(
        house.store, house.snapshots, Order(key, True, call.encode(), cap), asking=asking, keyring=SECRETS,
        visitors=[{"id": name, **said} for name in names],
    )
    house.snapshots.refresh()
    found = dict(zip(names, answers.each(), strict=True))
    assert all(each.code == "capped" for each in found.values() if isinstance(each, Capped))
    return {name: each.evaluation.assignment.arm for name, each in found.items() if not isinstance(each, Exception)}


def capped(cap: Any, per: str = "7d", **changes: Any) -> dict[str, Any]:
    return tiny(frequency={"cap": cap, "per": per}, control_share=0.3, **changes)


@pytest.mark.every_database
def test_who_has_been_exposed_so_often_is_left_out_until_the_span_is_over(house: House) -> None:
    key, reached = house.start(capped(2)), []
    for day in range(10):
        reached.append(len(mailed(house, key, f"call {day}")))
        house.now_ms += DAY
    # The first two calls, and again once these are a week old.
    assert reached == [60, 60, 0, 0, 0, 0, 0, 60, 60, 0]
    assert house.total(key, "$exposures") == (60, 240)
    assert house.store.read(lambda session: session.counters.of(key))[CAPPED] == 6 * 60


@pytest.mark.every_database
def test_a_list_that_is_sent_again_is_answered_the_same_and_counts_nobody_twice(house: House) -> None:
    key = house.start(capped(1))
    first = mailed(house, key, "april")
    assert mailed(house, key, "april") == first and len(first) == 60
    assert mailed(house, key, "may") == {}
    assert house.total(key, "$exposures") == (60, 60)


def test_the_cap_is_the_same_in_every_arm_the_control_included(house: House) -> None:
    key = house.start(capped(1))
    arms = Counter(mailed(house, key, "first").values())
    assert arms["nothing"] and arms["everyone"]
    assert mailed(house, key, "second") == {}


def test_exposures_on_pages_count_towards_it_and_are_never_left_out(house: House) -> None:
    key = house.start(capped(2))
    for number in range(3):
        [receipt] = house.record(house.exposure(key, "ann", id=f"page {number}"))
        assert receipt.status == "accepted"
    assert mailed(house, key, "call", names=["ann", "bob"]).keys() == {"bob"}


@pytest.mark.every_database
def test_a_cap_over_all_experiments_counts_all_of_them(house: House) -> None:
    keys = [house.start(tiny(key=name)) for name in ("one", "two", "three")]
    cap = Cap(2, 7 * 86_400)
    assert [len(mailed(house, key, "call", cap=cap)) for key in keys] == [60, 60, 0]
    # Nobody is a part of an experiment that they were kept out of.
    assert house.cells("three") == []
    house.now_ms += 8 * DAY
    assert len(mailed(house, "three", "call", cap=cap)) == 60


def test_who_does_not_consent_is_not_looked_up(house: House) -> None:
    key = house.start(capped(1))
    mailed(house, key, "first", names=["ann"])
    assert mailed(house, key, "second", names=["ann"], consent="none") == {"ann": "everyone"}


def test_caps_that_are_drawn_are_kept_to_and_evenly_drawn_whatever_the_arm(house: House) -> None:
    key, names = house.start(capped([1, 2, 4])), [f"w{number}" for number in range(1500)]
    exposures, arms = Counter[str](), {}
    for call in range(6):
        reached = mailed(house, key, f"call {call}", names=names)
        exposures.update(reached.keys())
        arms.update(reached)
    frequency = Frequency((1, 2, 4), 7 * 86_400, {})
    for name in names:
        assert exposures[name] == cap_of(key, frequency, pseudonym(name, key=SECRETS.visitors)).most
    table = Counter((arms[name], exposures[name]) for name in names)
    counts = [[table[arm, cap] for cap in (1, 2, 4)] for arm in ("nothing", "everyone")]
    assert scipy_stats.chisquare([sum(column) for column in zip(*counts, strict=True)]).pvalue > 0.001
    assert scipy_stats.chi2_contingency(counts).pvalue > 0.001


def test_two_experiments_draw_independently() -> None:
    frequency, visitors = Frequency((1, 3), 60, {}), [number.to_bytes(16, "big") for number in range(4000)]
    table = Counter((cap_of("a", frequency, one).most, cap_of("b", frequency, one).most) for one in visitors)
    assert scipy_stats.chi2_contingency([[table[a, b] for b in (1, 3)] for a in (1, 3)]).pvalue > 0.001


@pytest.mark.parametrize(("frequency", "field", "rule"), [
    ({"cap": 0, "per": "7d"}, "frequency.cap", "must be from 1 to 1000"),
    ({"cap": [2], "per": "7d"}, "frequency.cap", "a list of 2 to 5"),
    ({"cap": [2, 2], "per": "7d"}, "frequency.cap", "must not repeat"),
    ({"cap": [1, "2"], "per": "7d"}, "frequency.cap", "must be a number"),
    ({"cap": 2}, "frequency.per", "is required"),
    ({"per": "7d"}, "frequency.cap", "is required"),
    ({"cap": 2, "per": "5m"}, "frequency.per", "must be from 1h to 365d"),
    ({"cap": 2, "per": "7d", "most": 3}, "frequency.most", "is not a field here"),
    ({"cap": 2, "per": "7d", "costs": {"nothing": 3}}, "frequency.costs.nothing", "must be the key of a metric"),
    ({"cap": 2, "per": "7d", "costs": {"signup": -3}}, "frequency.costs.signup", "must be from 0"),
    (3, "frequency", "must be an object"),
])
def test_a_cap_that_cannot_be_is_refused_by_name(frequency: Any, field: str, rule: str) -> None:
    with pytest.raises(InvalidDocument) as refused:
        parse_document(tiny(frequency=frequency))
    assert any(problem.field == field and rule in problem.rule for problem in refused.value.problems)


def test_caps_stay_once_an_experiment_has_started() -> None:
    old, new = (parse_document(spring_mailing(frequency={"cap": cap, "per": "7d"})) for cap in (2, [1, 2]))
    assert [problem.field for problem in changes_while_started(old, new)] == ["frequency"]
