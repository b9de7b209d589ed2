"""Whether one more send is worth it, on lists that are really sent, to visitors who really come back."""

from typing import Any

import numpy as np
import pytest

from experiments.frequency.caps import cap_of
from experiments.frequency.sends import FrequencyReport
from experiments.frequency.sends import Raise
from experiments.frequency.sends import frequency_report
from experiments.model import Frequency
from experiments.signing import pseudonym
from experiments.storage.store import Store
from tests.experiments.documents import tiny
from tests.experiments.house import DAY
from tests.experiments.house import House
from tests.experiments.house import SECRETS
from tests.experiments.test_frequency_caps import mailed

KEY = "tiny"


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


def document(**changes: Any) -> dict[str, Any]:
    """Caps of one and two, an order worth 40, an opt-out that costs 5."""
    return tiny(**{
        "control_share": 0.2,
        "arms": [{"key": "nothing", "role": "control"}, {"key": "letter", "role": "mass", "cost_per_exposure": 0.5}],
        "metrics": [
            {"key": "order", "event": "Ordered", "kind": "conversion", "role": "goal", "window": "7d", "value": 40},
            {"key": "gone", "event": "Unsubscribed", "kind": "conversion", "role": "guardrail", "limit": 0.5,
             "direction": "decrease", "window": "7d"},
        ],
        "frequency": {"cap": [1, 2], "per": "30d", "costs": {"gone": 5}},
        **changes,
    })


def campaign(house: House, *, second_letter: float, leaving: float = 0.0, visitors: int = 1600) -> None:
    """Two mailings: by how much a second letter raises the chance to order, and how many it drives away."""
    rng, names = np.random.default_rng(7), [f"v{number}" for number in range(visitors)]
    exposures = dict.fromkeys(names, 0)
    arms: dict[str, str] = {}
    for call in ("first", "second"):
        for name, arm in mailed(house, KEY, call, names=names).items():
            exposures[name] += 1
            arms[name] = arm
        house.now_ms += DAY
    events = []
    for name in names:
        is_second = exposures[name] == 2 and arms[name] == "letter"
        if rng.random() < 0.1 + second_letter * is_second:
            events.append(house.event(name, "Ordered"))
        if rng.random() < leaving * is_second:
            events.append(house.event(name, "Unsubscribed"))
    house.record(*events)
    house.now_ms += 20 * DAY


def told(house: House, *, min_cell: int = 10) -> FrequencyReport:
    return frequency_report(house.store, KEY, now_ms=house.now_ms, min_cell=min_cell)


def whole(found: FrequencyReport) -> Raise:
    return next(one for one in found.raises if one.arm is None)


@pytest.mark.every_database
def test_a_second_letter_that_sells_is_worth_it(house: House) -> None:
    house.start(document())
    campaign(house, second_letter=0.15)
    found = told(house)
    one = whole(found)
    assert one.verdict == "worth_it"
    assert one.goal.low < 0.15 < one.goal.high and one.exposures == pytest.approx(1)
    # What it sells at 40, less the half that sending it costs.
    assert one.worth.mean == pytest.approx(40 * one.goal.mean - 0.5)
    assert {(part.segment, part.arm) for part in found.raises} == {(None, None), ("everyone-else", "letter")}
    assert found.worth_unit == "money" and found.left_out > 600


def test_one_that_only_costs_is_not_worth_it(house: House) -> None:
    house.start(document(arms=[
        {"key": "nothing", "role": "control"}, {"key": "letter", "role": "mass", "cost_per_exposure": 9},
    ]))
    campaign(house, second_letter=0.0)
    assert whole(told(house)).verdict == "not_worth_it"


def test_who_is_driven_away_is_a_cost(house: House) -> None:
    house.start(document(frequency={"cap": [1, 2], "per": "30d", "costs": {"gone": 100}}))
    campaign(house, second_letter=0.05, leaving=0.3)
    one = whole(told(house))
    assert one.goal.mean > 0 and one.verdict == "not_worth_it"
    assert one.worth.low < 40 * 0.05 - 0.5 - 100 * 0.3 < one.worth.high


def test_what_cannot_be_told_yet_says_so(house: House) -> None:
    house.start(document())
    campaign(house, second_letter=0.02, visitors=700)
    assert whole(told(house)).verdict == "not_known_yet"


def test_without_a_worth_the_goal_alone_decides(house: House) -> None:
    plain = document()
    del plain["metrics"][0]["value"]
    house.start(plain)
    campaign(house, second_letter=0.15)
    found = told(house)
    assert found.worth_unit == "rate" and whole(found).worth == whole(found).goal


def test_where_no_cap_is_drawn_there_is_an_association_and_no_effect(house: House) -> None:
    house.start(document(frequency={"cap": 5, "per": "30d"}))
    campaign(house, second_letter=0.1)
    found = told(house)
    assert found.raises == [] and found.caps == [5] and found.left_out == 0
    [control, letter] = found.rows
    assert (letter.arm, letter.frequency) == ("letter", 2.0)
    assert [dose.visitors for dose in letter.doses] == [0, letter.visitors, 0, 0, 0, 0]


def test_how_often_visitors_were_exposed_adds_up_to_the_report(house: House) -> None:
    house.start(document())
    campaign(house, second_letter=0.1, visitors=400)
    rows, report = told(house, min_cell=0).rows, house.report(KEY)
    for row in rows:
        [of_report] = [one for one in report["arms"] if (one["segment"], one["arm"]) == (row.segment, row.arm)]
        assert row.visitors == of_report["visitors"] == sum(dose.visitors or 0 for dose in row.doses)
        assert row.frequency == pytest.approx(of_report["economics"]["frequency"])


def test_who_still_has_time_counts_for_how_often_and_not_for_what_it_brings(house: House) -> None:
    house.start(document())
    campaign(house, second_letter=0.15)
    house.now_ms -= 20 * DAY
    found = told(house)
    assert found.raises == [] and {dose.mean for row in found.rows for dose in row.doses} == {None}
    assert all(row.visitors for row in found.rows)


def test_few_visitors_are_not_shown(house: House) -> None:
    house.start(document())
    campaign(house, second_letter=0.1, visitors=30)
    found = told(house)
    for row in found.rows:
        assert all(dose.visitors is None or dose.visitors == 0 or dose.visitors >= 10 for dose in row.doses)
    assert found.raises == []


def test_before_anybody_came_there_is_nothing(house: House) -> None:
    house.start(document())
    found = told(house)
    assert (found.rows, found.raises, found.left_out) == ([], [], 0)


def loyal(house: House, rng: np.random.Generator, *, visitors: int, effect: float) -> tuple[float, float]:
    """What a campaign says of one more exposure, as an effect and as an association.

    Half of the visitors are loyal: they order more often anyway, and their second exposure always comes; of the others
    every fourth one's does.
    """
    house.start(document(key=KEY))
    frequency, events = Frequency((1, 2), 30 * 86_400, {}), []
    for number in range(visitors):
        name, is_loyal = f"v{number}", number % 2 == 0
        most = cap_of(KEY, frequency, pseudonym(name, key=SECRETS.visitors)).most
        arm = house.evaluate(KEY, name).assignment.arm
        times = 2 if most == 2 and (is_loyal or rng.random() < 0.25) else 1
        events += [house.exposure(KEY, name, id=f"{time}") for time in range(times)]
        if rng.random() < 0.05 + 0.2 * is_loyal + effect * (times == 2 and arm == "letter"):
            events.append(house.event(name, "Ordered"))
    house.record(*events)
    house.now_ms += 20 * DAY
    found = told(house)
    [row] = [row for row in found.rows if row.arm == "letter"]
    association = row.doses[1].association
    assert association is not None
    one = whole(found)
    return one.goal.mean / one.exposures, association.mean


def test_who_comes_back_biases_the_association_and_not_the_effect(house: House) -> None:
    effect, association = loyal(house, np.random.default_rng(3), visitors=4000, effect=0.0)
    # The second exposure does nothing at all; four standard errors are .06.
    assert abs(effect) < 0.06 < association
