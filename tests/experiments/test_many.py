"""Many experiments, and one of many segments: each is answered as if it were alone. Figures: `pytest -m long -rP`."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from experiments import lifecycle
from experiments.audit import Deed
from experiments.reading.segments import MAX_SEGMENTS
from experiments.storage.store import Store
from tests.experiments.documents import tiny
from tests.experiments.house import START
from tests.experiments.house import House

_EXPERIMENTS = 10_000
_CONDITIONS = 5


def _took(work: Callable[[], object], what: str, *, times: int = 1) -> None:
    began = time.process_time()
    for _ in range(times):
        work()
    print(f"{what}: {(time.process_time() - began) / times * 1000:.3f} ms of one processor")


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_of_ten_thousand_experiments_a_change_touches_one(store: Store) -> None:
    house, deed = House(store), Deed("test", START)
    for key in (f"tiny-{number}" for number in range(_EXPERIMENTS)):
        lifecycle.create(store, tiny(key=key), deed=deed)
        lifecycle.act(store, key, "start", deed=deed)
    house.snapshots.refresh()
    before = dict(house.snapshots.latest.entries)
    house.act("tiny-4711", "pause")
    after = house.snapshots.latest.entries
    assert len(after) == _EXPERIMENTS
    assert [key for key, entry in after.items() if entry.plan is not before[key].plan] == []
    assert [key for key, entry in after.items() if entry.stored.state != "running"] == ["tiny-4711"]
    assert house.evaluate("tiny-4712", "ann").assignment.cause == "allocated"
    _took(House(store).snapshots.refresh, "all experiments read")
    _took(lambda: house.act("tiny-4711", "resume"), "one of them changed, and all looked through")
    _took(lambda: house.evaluate("tiny-4712", "ann"), "one evaluated", times=1000)


@pytest.mark.long
def test_of_five_thousand_segments_the_first_whose_rule_holds_is_found(store: Store) -> None:
    house, attributes = House(store), {f"a{number}": "number" for number in range(_CONDITIONS)}
    segments = [_segment(number) for number in range(MAX_SEGMENTS)]
    house.start(tiny(attributes=attributes, segments=segments))
    visitor = {name: MAX_SEGMENTS - 1 for name in attributes}
    assert house.evaluate("tiny", "ann", **visitor).assignment.segment == f"s{MAX_SEGMENTS - 1}"
    assert house.evaluate("tiny", "ann", **{**visitor, "a0": 17}).assignment.segment == "everyone-else"
    _took(lambda: house.evaluate("tiny", "ann", **visitor), "the last of all segments found", times=100)


def _segment(number: int) -> dict[str, Any]:
    return {
        "key": f"s{number}", "kind": "behavioral",
        "rule": {f"a{which}": {"$gte": number, "$lte": number} for which in range(_CONDITIONS)},
    }
