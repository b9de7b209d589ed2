"""Processes that have ended with nothing left: how far they were applied is forgotten, and nothing counts twice."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from flask.testing import FlaskClient

from experiments.log.appending import Appending
from experiments.log.clearing import KEPT_MS
from experiments.log.clearing import clear_positions
from experiments.storage.log_reader import Carried
from service.cluster.joining import sharded_store
from service.current import EXTENSION
from service.installation import Installation
from tests.logs import LogCluster
from tests.logs import running_log
from tests.postgres import Databases
from tests.service.conftest import SetClock
from tests.service.processes import wait_until
from tests.service.test_log import at_work
from tests.service.test_log import counted
from tests.service.test_log import exposed
from tests.service.test_log import report
from tests.service.test_log import sent
from tests.service.test_log import visitors_in
from tests.service.test_log_faults import node
from tests.service.test_log_faults import of_another
from tests.service.test_log_faults import published


@pytest.fixture(scope="module")
def log() -> Iterator[LogCluster]:
    """A log of one server."""
    with running_log(nodes=1) as log:
        yield log


@pytest.fixture
def settings(postgres: Databases, log: LogCluster, tmp_path: Path) -> dict[str, str]:
    """Settings of an installation of its own."""
    return of_another(postgres, log, tmp_path / "spool")


@pytest.fixture
def app(settings: dict[str, str], clock: SetClock) -> Iterator[object]:
    """A node that is there all the time."""
    with node({**settings, "BESPOKE_SPOOL": f"{settings['BESPOKE_SPOOL']}-of-another"}, clock) as app:
        yield app


def positions(installation: Installation, writer: str) -> int:
    """How many partitions know how far a process has been applied."""
    store = sharded_store(installation).placement.store("first")
    statement = "SELECT count(*) FROM positions WHERE writer = ?"
    return int(store.read(lambda session: session.connection.execute(statement, (writer,)).fetchone()[0]))


def ended(installation: Installation, writer: str) -> bool:
    """Whether it is known that nothing of a process can come any more."""
    return writer in installation.store.read(lambda session: session.spools.ended([writer]))


@pytest.mark.usefixtures("running")
def test_how_far_a_process_was_applied_is_forgotten_once_it_has_ended_and_what_is_back_of_it_counts_nothing(
    client: FlaskClient, keys: dict[str, str], installation: Installation, clock: SetClock, settings: dict[str, str],
    tmp_path: Path,
) -> None:
    store, folder, copy = sharded_store(installation), Path(settings["BESPOKE_SPOOL"]), tmp_path / "copy"
    with node(settings, clock) as other:
        spool = cast("Appending", other.extensions[EXTENSION].log).spool
        sent(other.test_client(), keys, exposed(client, keys, "ann"))
        [source] = spool.sources()
        [entry] = spool.entries(source, most_bytes=1)
        shutil.copytree(folder, copy)
    # It has waited for a while to be applied, and what is left another one brings.
    with node(settings, clock):
        clock.advance(seconds=1)
        with at_work(installation):
            wait_until(lambda: positions(installation, source.writer) == 1, what="it is applied")
            wait_until(lambda: ended(installation, source.writer), what="it is told that nothing is left")
    assert positions(installation, source.writer) == 1
    clock.at_ms += KEPT_MS + 1
    assert clear_positions(store, now_ms=clock.now_ms()) == 2, "the one that brought it has ended too"
    assert clear_positions(store, now_ms=clock.now_ms()) == positions(installation, source.writer) == 0
    # The log brings it again, and a copy of its disk.
    appending = cast("Appending", installation.log)
    published(appending.log, source.partition, Carried(*source, 1, [entry.body]))
    shutil.copytree(copy / source.writer, folder / source.writer)
    with node(settings, clock) as again:
        spool = cast("Appending", again.extensions[EXTENSION].log).spool
        wait_until(lambda: source.writer in spool.writers and not spool.sources(), what="it is taken over, and let go")
    sent(client, keys, exposed(client, keys, "bob"))
    counted(installation, clock)
    found = report(client, keys)
    assert (visitors_in(found), found["diagnostics"]["duplicates"]) == (2, 0)
    assert positions(installation, source.writer) == 0


@pytest.mark.usefixtures("running")
def test_how_far_a_process_was_applied_stays_known_while_something_of_it_may_be_back(
    client: FlaskClient, keys: dict[str, str], installation: Installation, clock: SetClock
) -> None:
    sent(client, keys, exposed(client, keys, "ann"))
    appending = cast("Appending", installation.log)
    [source] = appending.spool.sources()
    counted(installation, clock)
    clock.at_ms += KEPT_MS + 1
    assert clear_positions(sharded_store(installation), now_ms=clock.now_ms()) == 0
    assert positions(installation, source.writer) == 1
