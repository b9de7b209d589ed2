"""The scheduler: whatever runs it, each slot is done once; whatever goes wrong, it goes on."""

import logging
import signal
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from experiments.errors import StorageBusy
from experiments.storage.ledger import LedgerRow
from service.installation import Installation
from service.operation.clock import AcceleratedClock
from service.operation.clock import SystemClock
from service.scheduler import Scheduler
from service.scheduler import start_scheduler
from tests.experiments.documents import spring_mailing
from tests.service.processes import Installed
from tests.service.processes import wait_until

KEY = "spring-mailing"
HOUR_MS = 3_600_000


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    """An installation whose experiment runs."""
    return Installed(tmp_path)


def every(duration: str) -> dict[str, Any]:
    """The example, reallocated so often."""
    return spring_mailing(policy={"kind": "thompson", "every": duration})


def rows(installation: Installation) -> list[LedgerRow]:
    """The ledger of the experiment."""
    return installation.store.read(lambda session: list(session.ledger.rows(KEY)))


def slots(ledger: list[LedgerRow]) -> list[int]:
    """The slots that the scheduler did, in the order of the ledger."""
    return [msgspec.json.decode(row.body)["slot"] for row in ledger[1:]]


def test_two_schedulers_in_two_processes_do_each_slot_once_also_where_one_was_stopped(installed: Installed) -> None:
    installed.run_experiment(every("1s"))
    schedulers = [installed.start("scheduler") for _ in range(2)]
    with installed.opened() as installation:
        for number, order in enumerate((signal.SIGSTOP, signal.SIGCONT, signal.SIGCONT), start=1):
            wait_until(lambda: len(rows(installation)) > 2 * number, what="two more slots are done")
            schedulers[0].send_signal(order)
        for scheduler in schedulers:
            scheduler.terminate()
        assert [scheduler.wait(10) for scheduler in schedulers] == [0, 0]
        ledger = rows(installation)
    done = slots(ledger)
    assert done == sorted(set(done))
    assert [row.number for row in ledger] == list(range(1, len(ledger) + 1))
    assert "Traceback" not in installed.log.read_text()


def test_an_accelerated_clock_brings_slots_as_fast_as_it_runs(installed: Installed) -> None:
    installed.run_experiment(every("1h"))
    with installed.opened() as installation:
        now_ms = SystemClock().now_ms()
        installation.clock = AcceleratedClock(now_ms, now_ms, rate=36_000)
        scheduler = start_scheduler(installation)
        wait_until(lambda: len(rows(installation)) > 10, what="ten slots are done in about a second")
        scheduler.stop()
        done = slots(rows(installation))
        assert done == sorted(set(done))


def test_slots_that_were_missed_are_done_once_and_late(installed: Installed) -> None:
    installed.run_experiment(every("1h"))
    with installed.opened() as installation:
        now_ms = SystemClock().now_ms()
        installation.clock = AcceleratedClock(now_ms, now_ms + 5 * HOUR_MS + 1000, rate=1)
        Scheduler(installation).tick()
        Scheduler(installation).tick()
        assert slots(rows(installation)) == [5]


def test_a_clock_set_back_does_no_slot_again(installed: Installed) -> None:
    installed.run_experiment(every("1h"))
    with installed.opened() as installation:
        now_ms = SystemClock().now_ms()
        for hours in (3, 2, 1, 3):
            installation.clock = AcceleratedClock(now_ms, now_ms + hours * HOUR_MS + 1000, rate=1)
            Scheduler(installation).tick()
        assert slots(rows(installation)) == [3]


class Unavailable:
    """A store that cannot be read, in one of two ways."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, work: object) -> object:
        """Fail."""
        raise self._error

    transact = read


@pytest.mark.parametrize(
    ("error", "level"), [(StorageBusy("locked"), logging.WARNING), (ZeroDivisionError("a mistake"), logging.ERROR)]
)
def test_an_error_is_logged_and_the_next_look_comes(
    installed: Installed, caplog: pytest.LogCaptureFixture, error: Exception, level: int
) -> None:
    installed.run_experiment(every("1s"))
    with installed.opened() as installation:
        store = installation.store
        scheduler = start_scheduler(installation)
        installation.store = Unavailable(error)  # type: ignore[assignment]
        wait_until(lambda: bool(caplog.records), what="the error is logged")
        assert caplog.records[0].levelno == level
        installation.store = store
        done = len(rows(installation))
        wait_until(lambda: len(rows(installation)) > done, what="another slot is done")
        scheduler.stop()


def test_the_time_of_the_last_look_is_known(installed: Installed) -> None:
    with installed.opened() as installation:
        assert installation.ticked is None
        before = time.monotonic()
        scheduler = start_scheduler(installation)
        wait_until(lambda: (installation.ticked or 0) > before + 0.5, what="it looks again and again")
        scheduler.stop()
