"""A shard whose address changes while visitors come: workers and nodes follow, and nothing is lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from experiments.storage.location import Server
from tests.logs import running_log
from tests.postgres import Databases
from tests.service.houses import campaign
from tests.service.nodes import InstalledNode
from tests.service.nodes import Node
from tests.service.processes import wait_until
from tests.service.witnesses import Witness
from tests.service.witnesses import more_come

_MORE = 10


@contextmanager
def at_work(installed: InstalledNode) -> Iterator[tuple[Node, Witness]]:
    """A node, a worker, and visitors who come one after the other."""
    worker, node = installed.start("worker"), Node(installed)
    witness = Witness(node, key=installed.done("key", "create", "--scope", "server"), name="ann")
    witness.start()
    try:
        yield node, witness
    finally:
        witness.end()
        node.end()
        worker.kill()
        worker.wait()


@pytest.fixture
def second(postgres: Databases) -> Server:
    """The database of a second shard."""
    return postgres.empty()


@pytest.fixture
def installed(postgres: Databases, second: Server, tmp_path: Path) -> Iterator[InstalledNode]:
    """One whose visitors are all in the second shard."""
    control = postgres.empty()
    installed = InstalledNode(tmp_path / "one", control)
    installed.run_experiment(campaign())
    with running_log(nodes=1) as log:
        installed.set(BESPOKE_LOG_URL=log.url)
        installed.done("shard", "add", "first", control.url, "--partitions", "4")
        installed.done("shard", "add", "second", second.url)
        installed.done("shard", "move", "0-3", "second")
        yield installed


def renamed(postgres: Databases, server: Server) -> Server:
    """A database by another name from now on, amid whatever is done with it."""
    name = postgres.name_of(server)
    postgres.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    postgres.run(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'")
    postgres.run(f"ALTER DATABASE {name} RENAME TO {name}_moved")
    postgres.run(f"ALTER DATABASE {name}_moved ALLOW_CONNECTIONS true")
    return postgres.server(f"{name}_moved")


def visitors_in(server: Server) -> int:
    """How many visitors a database has."""
    with psycopg.connect(server.url) as raw:
        row = raw.execute("SELECT count(*) FROM exposures").fetchone()
    return int(row[0]) if row else 0


@pytest.mark.long
def test_a_shard_is_reached_by_another_address_and_nothing_that_was_acknowledged_is_lost(
    postgres: Databases, second: Server, installed: InstalledNode
) -> None:
    with at_work(installed) as (_, witness):
        more_come([witness], _MORE)
        found = renamed(postgres, second)
        installed.done("shard", "address", "second", found.url)
        more_come([witness], _MORE)
        witness.end()
        wait_until(lambda: visitors_in(found) >= len(witness.acknowledged()), what="all are there")
    assert visitors_in(found) <= len(witness.sent)
    assert "Traceback" not in installed.log.read_text()
    assert "counters and ledger agree" in installed.done("verify")
