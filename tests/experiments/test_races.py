"""Many schedulers on one database: each slot is done once, and who slept through a later one is fenced."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import msgspec
import pytest

from experiments import reallocation
from experiments.audit import Deed
from experiments.storage.ledger import LedgerRow
from experiments.storage.location import Location
from experiments.storage.store import Store
from experiments.storage.store import open_store
from experiments.verification import verify
from tests.experiments.documents import tiny
from tests.experiments.guards import taken_away
from tests.experiments.house import HOUR
from tests.experiments.house import SECRETS
from tests.experiments.house import START
from tests.experiments.house import House
from tests.service.processes import wait_until

_ROUNDS = 3
_EAGER = {"kind": "thompson", "every": "1h", "burn_in": 0, "burn_in_conversions": 0, "max_step": 1.0}


@pytest.fixture(scope="module")
def forks() -> ForkServerContext:
    """Processes that begin with everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


@pytest.fixture
def database(store: Store, location: Location) -> Iterator[Location]:
    """The database of an experiment whose weights have every reason to move."""
    house = House(store)
    key = house.start(tiny(arms=[{"key": "a", "role": "mass"}, {"key": "b", "role": "mass"}], policy=_EAGER))
    visitors = [f"visitor-{number}" for number in range(60)]
    house.record(*(house.exposure(key, visitor) for visitor in visitors))
    arms = {visitor: house.evaluate(key, visitor).assignment.arm for visitor in visitors}
    house.record(*(house.event(visitor, "Signed Up") for visitor in visitors if arms[visitor] == "b"))
    yield location
    assert verify(store) == []


def _ledger(store: Store) -> list[LedgerRow]:
    return store.read(lambda session: list(session.ledger.rows("tiny")))


def _slots(store: Store) -> list[int]:
    return [msgspec.json.decode(row.body)["slot"] for row in _ledger(store)[1:]]


def _look_together(location: Location, barrier: Any, done: Any, without: str | None) -> None:
    """Look for what is due in the same moment as everybody else, slot by slot."""
    store = open_store(location, fingerprint=SECRETS.fingerprint)
    with taken_away(without):
        for number in range(1, _ROUNDS + 1):
            barrier.wait()
            done.put(len(reallocation.reallocate_due(store, now_ms=START + number * HOUR)))
    store.close()


def _race(forks: ForkServerContext, database: Location, *, runners: int, without: str | None = None) -> int:
    """How many slots were done by all processes together."""
    barrier, done = forks.Barrier(runners), forks.SimpleQueue()
    processes = [forks.Process(target=_look_together, args=(database, barrier, done, without)) for _ in range(runners)]
    for process in processes:
        process.start()
    count = sum(done.get() for _ in range(runners * _ROUNDS))
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * runners
    return int(count)


@pytest.mark.every_database
def test_twenty_processes_at_once_do_each_slot_once(store: Store, database: Location, forks: ForkServerContext) -> None:
    assert _race(forks, database, runners=20) == _ROUNDS
    ledger = _ledger(store)
    assert _slots(store) == [1, 2, 3]
    assert [row.number for row in ledger] == [1, 2, 3, 4]
    assert [row.epoch for row in ledger][:2] == [1, 2]


def test_without_the_claim_they_would_do_it_again_and_again(
    store: Store, database: Location, forks: ForkServerContext
) -> None:
    assert _race(forks, database, runners=4, without="slots") > _ROUNDS
    assert len(set(_slots(store))) < len(_slots(store))


def _sleep_over(location: Location, done: Any) -> None:
    """Prepare slot 1 and fall asleep; then go on as if nothing had been."""
    prepare = reallocation._prepare

    def prepare_and_sleep(*given: Any, **more: Any) -> Any:
        prepared = prepare(*given, **more)
        os.kill(os.getpid(), signal.SIGSTOP)
        return prepared

    store = open_store(location, fingerprint=SECRETS.fingerprint)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reallocation, "_prepare", prepare_and_sleep)
        done.put(reallocation.reallocate_slot(store, "tiny", 1, deed=Deed("scheduler", START + HOUR)))
    store.close()


@pytest.mark.every_database
def test_a_scheduler_that_was_stopped_over_the_next_slot_does_not_do_its_own(
    store: Store, database: Location, forks: ForkServerContext
) -> None:
    done = forks.SimpleQueue()
    sleeper = forks.Process(target=_sleep_over, args=(database, done))
    sleeper.start()
    wait_until(lambda: _is_stopped(sleeper.pid), what="the scheduler is stopped")
    assert len(reallocation.reallocate_due(store, now_ms=START + 2 * HOUR)) == 1
    os.kill(sleeper.pid or 0, signal.SIGCONT)
    assert done.get() is None
    sleeper.join()
    assert _slots(store) == [2]


def _is_stopped(process: int | None) -> bool:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "T"
