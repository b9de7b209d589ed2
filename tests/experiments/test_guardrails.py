"""Guardrails: said to be broken once the evidence holds at any look, and only then."""

import pytest

from experiments.storage.cells import CellKey
from experiments.storage.store import Store
from service.report.checks import warnings
from tests.experiments.documents import spring_mailing
from tests.experiments.house import DAY
from tests.experiments.house import House


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


def _count(house: House, key: str, arm: str, *, visitors: int, unsubscribed: int) -> None:
    cell = CellKey(key, 1, house.now_ms // DAY, "womens-shoppers", arm, False, "unsubscribe")
    changes = {
        cell: (visitors, unsubscribed, float(unsubscribed)),
        cell._replace(metric="$exposures"): (visitors, visitors, float(visitors)),
    }
    house.store.transact(lambda session: session.cells.add(changes))


def test_an_arm_that_drives_people_away_breaks_the_guardrail(house: House) -> None:
    key = house.start(spring_mailing())
    _count(house, key, "one-letter", visitors=4000, unsubscribed=80)
    _count(house, key, "womens-letter", visitors=4000, unsubscribed=160)
    report = house.report(key)
    broken = {row["arm"]: row["breached"] for row in report["guardrails"]}
    assert broken == {"nothing": False, "one-letter": False, "womens-letter": True}
    assert report["guardrails"][2]["mean"] == pytest.approx(0.04)
    assert "womens-letter has pushed unsubscribe above its limit of 0.02 per visitor." in list(warnings(report))


def test_few_visitors_are_not_shown_but_judged(house: House) -> None:
    key = house.start(spring_mailing())
    _count(house, key, "one-letter", visitors=9, unsubscribed=9)
    row = next(row for row in house.report(key, min_cell=10)["guardrails"] if row["arm"] == "one-letter")
    assert row["mean"] is None and row["breached"]


def test_the_epochs_that_a_comparison_rests_on_are_named(house: House) -> None:
    key = house.start(spring_mailing())
    _count(house, key, "one-letter", visitors=400, unsubscribed=0)
    _count(house, key, "womens-letter", visitors=400, unsubscribed=0)
    [row] = house.report(key)["method"]["information"]
    assert (row["segment"], row["arm"]) == ("womens-shoppers", "womens-letter")
    assert (row["first_epoch"], row["last_epoch"], row["share"]) == (1, 1, 1.0)
