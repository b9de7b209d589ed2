"""One allocation at a time: whoever is behind counts for the epoch it knew, nobody changes arm, and shares are kept."""

import time
from collections import Counter
from collections.abc import Callable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from datetime import timezone
from random import Random

import msgspec
import numpy as np
import pytest
import scipy.stats

from experiments import lifecycle
from experiments.allocation import GRAIN
from experiments.assignment import Plan
from experiments.audit import Deed
from experiments.deciding import decide_all
from experiments.document import parse_document
from experiments.model import Allocation
from experiments.positions import positions
from experiments.reallocation import reallocate_due
from experiments.snapshot import Snapshot
from experiments.storage.cells import CellKey
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.verification import verify
from tests.experiments.documents import tiny
from tests.experiments.house import DAY
from tests.experiments.house import HOUR
from tests.experiments.house import House

_TWO = [{"key": "c", "role": "mass"}, {"key": "t", "role": "mass"}]
_THREE = [{"key": "nothing", "role": "control"}, *_TWO]
_EAGER = {"kind": "thompson", "every": "1h", "burn_in": 0, "burn_in_conversions": 0, "max_step": 1.0}
#: A figure of fixed seeds: of sound code, one test in ten thousand would have to be given another.
_RARE = 1e-4


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


def _shares(first: float) -> dict[str, object]:
    return {"kind": "fixed", "max_step": 1.0, "shares": {"c": first, "t": 1 - first}}


def _change(house: House, document: dict[str, object]) -> None:
    """Change the document by another process: this one has not seen it yet."""
    lifecycle.replace(house.store, str(document["key"]), document, deed=Deed("test", house.now_ms))


def _cells(house: House, key: str) -> dict[tuple[int, str], int]:
    rows = [row for row in house.cells(key) if row.key.metric == "$exposures"]
    return {(row.key.epoch, row.key.arm): row.n for row in rows}


def test_who_has_not_seen_the_newest_epoch_counts_for_the_one_it_knows(house: House) -> None:
    document = tiny(arms=_TWO, policy=_shares(0.5))
    key = house.start(document)
    _change(house, {**document, "policy": _shares(0.1)})
    visitors = [f"visitor-{number}" for number in range(200)]
    given = {visitor: house.evaluate(key, visitor) for visitor in visitors}
    assert {(each.assignment.epoch, each.assignment.propensity) for each in given.values()} == {(1, 0.5)}
    house.record(*(
        house.event(visitor, "Experiment Viewed", experiment_id=key, token=given[visitor].token)
        for visitor in visitors
    ))
    arms = Counter(each.assignment.arm for each in given.values())
    assert _cells(house, key) == {(1, arm): n for arm, n in arms.items()}
    # Counted for its own epoch it is no alarm; for the newest it would be one.
    assert house.report(key)["diagnostics"]["sample_ratio"]["alarm"] is False
    house.snapshots.refresh()
    assert all(house.evaluate(key, visitor).assignment.arm == given[visitor].assignment.arm for visitor in visitors)
    assert verify(house.store) == []


def test_a_look_that_comes_late_does_not_take_back_what_a_later_one_has_seen(house: House) -> None:
    house.start(tiny(arms=_TWO, policy=_shares(0.5)))

    def look_late(session: Session) -> Snapshot:
        # What this transaction sees is fixed by its first look.
        assert session.experiments.get("tiny")
        _change(house, tiny(arms=_TWO, policy=_shares(0.9)))
        with ThreadPoolExecutor(1) as others:
            others.submit(house.snapshots.refresh).result()
        return house.snapshots.within(session)

    late = house.store.read(look_late)
    assert late.version < house.snapshots.latest.version
    assert house.evaluate("tiny", "ann").assignment.epoch == 2


def test_who_has_not_seen_an_added_arm_gives_it_to_those_who_have_it(house: House) -> None:
    document = tiny(arms=_TWO)
    key = house.start(document)
    ahead = House(house.store, now_ms=house.now_ms)
    _change(house, {**document, "arms": [*_TWO, {"key": "new", "role": "mass", "message": {"text": "New"}}]})
    ahead.snapshots.refresh()
    visitors = [name for name in map(str, range(50)) if ahead.evaluate(key, name).assignment.arm == "new"]
    assert visitors
    exposed, promised = visitors[: len(visitors) // 2], visitors[len(visitors) // 2 :]
    tokens = {visitor: ahead.evaluate(key, visitor).token for visitor in promised}
    ahead.record(*(ahead.exposure(key, visitor) for visitor in exposed))
    behind = House(house.store, now_ms=house.now_ms)
    behind.snapshots.latest = house.snapshots.latest
    assert "new" not in behind.snapshots.latest.entries[key].experiment.arm_by_key
    found = [
        *(behind.evaluate(key, visitor) for visitor in exposed),
        *(behind.evaluate(key, visitor, token=tokens[visitor]) for visitor in promised),
    ]
    assert {(each.assignment.arm, each.role, each.message["text"]) for each in found} == {("new", "mass", "New")}
    assert {each.assignment.epoch for each in found} == {2}
    # Whoever may not be counted has the mass arm as this process knows it, whatever a token says.
    uncounted = behind.evaluate(key, promised[0], token=tokens[promised[0]], consent="none").assignment
    assert (uncounted.cause, uncounted.epoch) == ("no_consent", 1)


@pytest.mark.parametrize("changes", [200, pytest.param(1000, marks=pytest.mark.long)])
def test_changes_move_nobody_and_newcomers_follow_each_epoch(house: House, changes: int) -> None:
    rng = Random(7)
    document = tiny(arms=_THREE, control_share=0.1, policy=_shares(0.5))
    key = house.start(document)
    early = [f"early-{number}" for number in range(100)]
    house.record(*(house.exposure(key, visitor) for visitor in early))
    fixed = {visitor: house.evaluate(key, visitor).assignment for visitor in early}
    statistic, degrees = 0.0, 0
    for number in range(changes):
        _change(house, {**document, "policy": _shares(rng.choice((0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9)))})
        plan = house.snapshots.refresh().entries[key].plan
        assert plan is not None
        found = decide_all(plan, [f"{number}-{each}" for each in range(500)], columns={})
        arms = Counter(found.column("arm").tolist())
        weights = plan.allocation.weights["everyone-else"]
        test = scipy.stats.chisquare([arms[arm] for arm in weights], [500 * w / GRAIN for w in weights.values()])
        statistic, degrees = statistic + test.statistic, degrees + len(weights) - 1
        visitor = early[number % len(early)]
        assert house.evaluate(key, visitor).assignment == fixed[visitor]._replace(cause="sticky")
    assert {visitor: house.evaluate(key, visitor).assignment for visitor in early} == {
        visitor: assignment._replace(cause="sticky") for visitor, assignment in fixed.items()
    }
    epochs = house.store.read(lambda session: session.ledger.published(key))
    assert [row.epoch for row in epochs] == list(range(1, len(epochs) + 1))
    assert len(epochs) > 0.8 * changes
    assert scipy.stats.chi2.sf(statistic, degrees) > _RARE


@pytest.fixture
def clocks_in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose own clocks change twice a year."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def _ms(*moment: int) -> int:
    return round(datetime(*moment, tzinfo=timezone.utc).timestamp() * 1000)  # type: ignore[arg-type, misc]


def _hours(start_ms: int, count: int) -> list[int]:
    return [start_ms + number * HOUR for number in range(1, count + 1)]


@pytest.mark.usefixtures("clocks_in_berlin")
@pytest.mark.parametrize(
    ("start_ms", "looks", "slots"),
    [
        pytest.param(_ms(2026, 12, 1), [5 * HOUR, 4 * HOUR, 5 * HOUR, 6 * HOUR], [5, 6], id="back an hour"),
        pytest.param(_ms(2026, 12, 1), [HOUR, 365 * DAY, 365 * DAY, HOUR], [1, 8760], id="forward a year"),
        pytest.param(_ms(2027, 3, 27, 20), _hours(0, 12), list(range(1, 13)), id="summer begins"),
        pytest.param(_ms(2027, 10, 30, 20), _hours(0, 12), list(range(1, 13)), id="summer ends"),
        pytest.param(_ms(2028, 2, 28, 20), _hours(0, 36), list(range(1, 37)), id="leap day"),
        pytest.param(_ms(2026, 12, 31, 20), _hours(0, 12), list(range(1, 13)), id="new year"),
    ],
)
def test_whatever_the_clock_does_no_slot_is_done_twice(
    opened: Callable[[bool], Store], start_ms: int, looks: list[int], slots: list[int]
) -> None:
    store = opened(True)
    house = House(store, now_ms=start_ms)
    key = house.start(tiny(arms=_TWO, policy={**_EAGER, "half_life": "7d"}))
    for number, passed_ms in enumerate(looks):
        house.now_ms = start_ms + passed_ms
        visitors = [f"{number}-{each}" for each in range(10)]
        house.snapshots.refresh()
        house.record(*(house.exposure(key, visitor) for visitor in visitors))
        house.record(*(house.event(v, "Signed Up") for v in visitors if house.evaluate(key, v).assignment.arm == "t"))
        reallocate_due(store, now_ms=house.now_ms)
        report = house.report(key)
        assert 0 <= report["diagnostics"]["matured_share"] <= 1
    rows = store.read(lambda session: list(session.ledger.rows(key)))
    bodies = [msgspec.json.decode(row.body) for row in rows]
    assert [body["slot"] for body in bodies[1:]] == slots
    assert [row.epoch for row in rows] == sorted(row.epoch for row in rows)
    assert rows[-1].epoch > 1
    for body in bodies:
        for known in body["inputs"].values():
            # Who is younger than nothing would count for more than one.
            assert all(one[1]["effective_n"] <= one[0] + 1e-9 for one in known[1].values())
    assert verify(store) == []
    store.close()


def test_who_was_exposed_on_a_day_that_a_clock_set_back_has_not_reached_counts_as_one(house: House) -> None:
    house.now_ms = _ms(2026, 12, 2) + 10 * 60_000
    key = house.start(tiny(arms=_TWO, policy={**_EAGER, "half_life": "1d"}))
    visitors = [f"visitor-{number}" for number in range(40)]
    house.record(*(house.exposure(key, visitor) for visitor in visitors))
    house.now_ms -= HOUR
    house.record(*(house.event(visitor, "Signed Up") for visitor in visitors))
    known = msgspec.json.decode(house.reallocate(key).body)["inputs"]["everyone-else"]
    assert sum(one[0] for one in known[1].values()) == 40
    assert all(one[1]["effective_n"] <= one[0] + 1e-9 for one in known[1].values())
    assert house.report(key)["diagnostics"]["matured_share"] == 0
    assert verify(house.store) == []


def _count(house: House, key: str, visitors: Counter[str]) -> None:
    """Count visitors, as so many exposures would."""
    place = CellKey(key, 1, house.now_ms // DAY, "everyone-else", "", False, "$exposures")
    changes = {
        place._replace(arm=arm, metric=metric): (n, n if metric == "$exposures" else 0, float(n))
        for arm, n in visitors.items()
        for metric in ("$exposures", "$profit", "signup")
    }
    house.store.transact(lambda session: session.cells.add(changes))


@pytest.mark.parametrize(("lost", "alarm"), [(0.02, True), (0.0, False)])
def test_two_in_a_hundred_exposures_lost_of_one_arm_raise_the_alarm(house: House, lost: float, alarm: bool) -> None:
    key = house.start(tiny(arms=_TWO))
    plan = house.snapshots.latest.entries[key].plan
    assert plan is not None
    visitors = [f"visitor-{number}" for number in range(200_000)]
    arms = decide_all(plan, visitors, columns={}).column("arm")
    is_lost = (arms == "t") & (np.random.default_rng(3).random(len(visitors)) < lost)
    _count(house, key, Counter(arms[~is_lost].tolist()))
    found = house.report(key)["diagnostics"]["sample_ratio"]
    assert found["alarm"] is alarm
    assert (found["p_value"] < 0.001) is alarm


def test_a_million_visitors_of_three_experiments_have_their_shares_and_are_independent() -> None:
    visitors = [f"visitor-{number}" for number in range(1_000_000)]
    weights = {"nothing": 1000, "c": 2500, "t": 6500}
    places = []
    for key in ("spring-mailing", "summer-mailing", "letters"):
        document = tiny(key=key, arms=_THREE, control_share=0.1)
        plan = Plan(parse_document(document), Allocation(1, dict.fromkeys(_SEGMENTS, weights)))
        found = decide_all(plan, visitors, columns={})
        order = [list(weights).index(assignment.arm) for assignment in found.different]
        places.append(np.array(order)[found.places])
        counts = np.bincount(places[-1], minlength=3)
        expected = [len(visitors) * weight / GRAIN for weight in weights.values()]
        assert scipy.stats.chisquare(counts, expected).pvalue > _RARE
    for one, other in ((0, 1), (0, 2), (1, 2)):
        table = np.bincount(places[one] * 3 + places[other], minlength=9).reshape(3, 3)
        assert scipy.stats.chi2_contingency(table).pvalue > _RARE


_SEGMENTS = ("everyone-else", "no-personalisation")


def test_every_share_from_one_to_ninety_nine_in_a_hundred_is_kept() -> None:
    found = positions("spring-mailing", [f"visitor-{number}" for number in range(1_000_000)])
    for percent in range(1, 100):
        share = percent / 100
        sigma = (share * (1 - share) / len(found)) ** 0.5
        assert abs((found < share).mean() - share) < 4 * sigma, percent
