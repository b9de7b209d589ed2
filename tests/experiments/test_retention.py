"""Retention: events, then visitors, go a little at a time once they can change nothing; counts and reports stay."""

from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from experiments.events import Terms
from experiments.partitions import EVERYBODY
from experiments.privacy import retention
from experiments.privacy.erasure import erase_all
from experiments.privacy.removals import remove_events
from experiments.privacy.retention import Keeping
from experiments.privacy.retention import STEP
from experiments.privacy.retention import retain
from experiments.signing import pseudonym
from experiments.snapshot import all_experiments
from experiments.storage.replies import ReplyRow
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from experiments.verification import verify
from tests.experiments.documents import three_kinds
from tests.experiments.documents import tiny
from tests.experiments.house import DAY
from tests.experiments.house import HOUR
from tests.experiments.house import House
from tests.experiments.house import SECRETS
from tests.experiments.house import START

#: As the settings have them.
KEEPING = Keeping(Terms("personalise", 90 * 86_400), 90 * 86_400, 30 * 86_400, 30 * 86_400)
TABLES = ("events", "exposures", "totals", "waiting")


def retained(house: House) -> int:
    """The rows that go now, until none is left that must."""
    removed = 0
    while step := retain(house.store, house.snapshots, KEEPING, now_ms=house.now_ms):
        removed += step
    return removed


def counts(house: House) -> list[int]:
    """The rows of each table of visitors."""
    return house.store.read(
        lambda session: [
            int(session.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) for table in TABLES
        ]
    )


def but_for_time(report: dict[str, Any]) -> dict[str, Any]:
    """A report without what tells when it was made."""
    return {**report, "as_of": ""}


@pytest.fixture(name="visited")
def _visited(store: Store) -> House:
    """A dozen visitors of whom some came twice, signed up, or signed up before anybody knew of them."""
    house = House(store)
    house.start(tiny())
    house.record(house.event("late", "Signed Up"), house.event("never", "Signed Up"))
    for number in range(12):
        house.record(*[house.exposure("tiny", f"v{number}")] * (1 + number % 2))
        house.record(house.exposure("tiny", f"v{number}"))
        if number % 3 == 0:
            house.record(house.event(f"v{number}", "Signed Up"))
    house.record(house.exposure("tiny", "late"))
    return house


@pytest.mark.every_database
def test_after_a_year_no_row_of_a_visitor_is_left_and_the_report_is_as_it_was(visited: House) -> None:
    visited.act("tiny", "stop")
    visited.now_ms += 20 * DAY
    before, cells = visited.report("tiny"), visited.cells("tiny")
    visited.now_ms += 365 * DAY
    assert retained(visited) > 0
    assert counts(visited) == [0, 0, 0, 0]
    assert visited.cells("tiny") == cells
    assert but_for_time(visited.report("tiny")) == but_for_time(before)
    assert verify(visited.store) == []
    row = visited.store.read(lambda session: session.audit.last())
    assert row and (row.actor, row.action, row.subject) == ("scheduler", "forget visitors", "tiny")
    assert retained(visited) == 0


@pytest.mark.every_database
def test_while_an_experiment_runs_its_events_go_and_its_visitors_keep_their_arm(visited: House) -> None:
    arms = {f"v{number}": visited.evaluate("tiny", f"v{number}").assignment for number in range(12)}
    visited.now_ms += 365 * DAY
    before = visited.cells("tiny")
    retained(visited)
    assert counts(visited) == [0, 13, 5, 0]
    assert {visitor: visited.evaluate("tiny", visitor).assignment for visitor in arms} == arms
    assert visited.cells("tiny") == before and verify(visited.store) == []
    visited.record(visited.exposure("tiny", "v3"), visited.exposure("tiny", "new"))
    assert visited.total("tiny", "$exposures") == (14, sum(1 + 1 for _ in range(12)) + 1 + 2)
    assert verify(visited.store) == []


@pytest.mark.every_database
def test_nothing_goes_while_it_can_still_come_again_or_count(visited: House) -> None:
    events = counts(visited)[0]
    last = visited.event("v1", "Signed Up")
    visited.record(last)
    visited.now_ms += 120 * DAY - 1
    assert retained(visited) == 0 and counts(visited)[0] == events + 1
    assert visited.record(last)[0].status == "duplicate"
    visited.now_ms += 1
    assert retained(visited) == events + 1


def test_a_long_window_is_waited_for(store: Store) -> None:
    house = House(store)
    metric = {**tiny()["metrics"][0], "window": "200d"}
    house.start(tiny(metrics=[metric]))
    house.record(house.exposure("tiny", "ann"))
    house.now_ms += 230 * DAY - 1
    assert retained(house) == 0
    house.now_ms += 1
    assert retained(house) == 1


@pytest.mark.every_database
def test_each_step_is_small_and_leaves_everything_in_balance(store: Store) -> None:
    house = House(store)
    house.start(tiny())
    visitors = [f"v{number}" for number in range(700)]
    house.record(*(house.exposure("tiny", visitor) for visitor in visitors))
    house.record(*(house.event(visitor, "Signed Up") for visitor in visitors[::2]))
    house.act("tiny", "stop")
    cells = house.cells("tiny")
    house.now_ms += 365 * DAY
    left = counts(house)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retention, "_MOST_STEPS", 1)
        while removed := retain(house.store, house.snapshots, KEEPING, now_ms=house.now_ms):
            assert removed <= STEP
            now = counts(house)
            assert now[0] < left[0] or now[1] < left[1]
            assert house.cells("tiny") == cells and verify(house.store) == []
            left = now
    assert left == [0, 0, 0, 0]


def erased(stand_in: bytes, session: Session) -> tuple[int, int]:
    """How many exposures and events of a visitor are removed."""
    return erase_all(session, [stand_in], experiments=all_experiments(session))


@pytest.mark.every_database
def test_visitors_of_a_stopped_experiment_can_be_erased_at_any_moment_of_it(visited: House) -> None:
    cells = visited.cells("tiny")
    visited.now_ms += 125 * DAY
    retained(visited)
    stand_in = pseudonym("v3", key=SECRETS.visitors)
    visited.record(visited.exposure("tiny", "v3"))
    after = visited.cells("tiny")
    assert after != cells
    assert visited.store.transact(partial(erased, stand_in)) == (1, 1)
    assert visited.cells("tiny") == after and verify(visited.store) == []


@pytest.mark.every_database
def test_cells_of_contexts_balance_too_and_no_context_is_left(store: Store) -> None:
    house = House(store)
    attributes = {"recency": {"type": "number", "store": True, "bands": [6, 12]}}
    key = house.start(tiny(attributes=attributes, policy={"kind": "contextual_thompson"}))
    for number in range(12):
        house.record(house.exposure(key, f"v{number}", recency=number * 2), house.event(f"v{number}", "Signed Up"))
    cells = house.cells(key)
    assert len({row.key.context for row in cells}) == 3
    stand_in = pseudonym("v3", key=SECRETS.visitors)
    assert house.store.transact(partial(erased, stand_in)) == (1, 2)
    assert house.cells(key) == cells and verify(house.store) == []
    house.now_ms += 125 * DAY
    assert retained(house) == 22
    assert house.cells(key) == cells and verify(house.store) == []
    house.act(key, "stop")
    house.now_ms += 300 * DAY
    retained(house)
    assert counts(house) == [0, 0, 0, 0]
    assert house.cells(key) == cells and verify(house.store) == []


def test_answers_and_marks_are_forgotten_when_they_have_ended(store: Store) -> None:
    house = House(store)
    marks = [(b"a" * 16, START + DAY), (b"b" * 16, START + 3 * DAY)]
    house.store.transact(lambda session: session.tombstones.keep(marks))
    row = ReplyRow("admin", "key", b"", 200, None, b"", START)
    house.store.transact(lambda session: session.replies.keep(row))
    assert retained(house) == 0
    house.now_ms += DAY + 1
    assert retained(house) == 2
    assert [mark for mark, _ in house.store.read(lambda session: session.tombstones.all())] == [b"b" * 16]


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_whatever_is_removed_of_the_oldest_events_counts_go_on_as_if_nothing_were(seed: int) -> None:
    check_counts_go_on(seed)


@pytest.mark.long
@settings(max_examples=600)
@given(st.integers(0, 2**32))
def test_counts_go_on_in_many_more_histories(seed: int) -> None:
    check_counts_go_on(seed)


def check_counts_go_on(seed: int) -> None:
    """The same events twice, once with removals in between that take out all events of any age that do not wait."""
    with TemporaryDirectory() as folder:
        cells = [played(Path(folder) / f"{removes}.db", Random(seed), removes=removes) for removes in (False, True)]
    assert cells[0] == cells[1]


def played(path: Path, rng: Random, *, removes: bool) -> list[Any]:
    """The cells after a history of random events and removals."""
    migrate_database(path, fingerprint=SECRETS.fingerprint)
    store = open_store(path, fingerprint=SECRETS.fingerprint, serving=True)
    removing = Random(rng.random())
    try:
        house = House(store)
        keys = [house.start(document) for document in three_kinds()]
        for _ in range(30):
            step(house, rng, keys)
            if removes and removing.random() < 0.4:
                store.transact(lambda session: remove_oldest(house, session, removing))
                assert verify(store) == []
        assert verify(store) == []
        return [house.cells(key) for key in keys]
    finally:
        store.close()


def step(house: House, rng: Random, keys: list[str]) -> None:
    """Time passes, and some events come in."""
    house.now_ms += rng.choice((1000, HOUR, DAY, 3 * DAY))
    visitors = [f"v{rng.randint(1, 4)}" for _ in range(rng.randint(1, 4))]
    items = []
    for number, visitor in enumerate(visitors):
        id, at = f"{house.now_ms}-{number}", house.now_ms - rng.choice((0, HOUR, DAY, 5 * DAY))
        if rng.random() < 0.5:
            items.append(house.exposure(rng.choice(keys), visitor, id=id, womens=rng.random() < 0.5))
        else:
            name = rng.choice(("Order Completed", "Page Viewed", "Signed Up"))
            items.append(house.event(visitor, name, id=id, at=at, revenue=rng.choice((1, 9.99, 60))))
    house.record(*items, trusted=rng.random() < 0.5)


def remove_oldest(house: House, session: Session, rng: Random) -> None:
    """Remove the oldest events, up to the first that still waits, or fewer."""
    waiting = session.connection.execute(
        "SELECT min(event) FROM waiting WHERE until_ms > ?", (house.now_ms,)
    ).fetchone()[0]
    events = [pair for pair in session.events.oldest(EVERYBODY, limit=1000) if waiting is None or pair[0] < waiting]
    remove_events(session, events[: rng.randint(0, len(events))], experiments=all_experiments(session))
