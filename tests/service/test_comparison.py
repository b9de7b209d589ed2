"""`bespoke shard compare`: what nodes have counted and what came by the log, beside what the stored events give."""

from pathlib import Path

import psycopg
import pytest

from experiments.storage.location import Server
from tests.experiments.documents import spring_mailing
from tests.postgres import Databases
from tests.service.nodes import InstalledNode
from tests.service.witnesses import KEY


@pytest.fixture
def server(postgres: Databases) -> Server:
    """A database with nothing in it."""
    return postgres.empty()


@pytest.fixture
def installed(server: Server, tmp_path: Path) -> InstalledNode:
    """An installation whose visitors were exposed before it had a shard."""
    installed = InstalledNode(tmp_path / "one", server)
    installed.run_experiment(spring_mailing())
    (installed.folder / "list.csv").write_text("visitor\nann\nbob\ncem\n")
    installed.done("assign", KEY, "list.csv", "--out", "assigned.csv")
    return installed


def test_both_ways_are_held_against_the_events_and_a_difference_is_told(
    installed: InstalledNode, server: Server
) -> None:
    refused = installed.command("shard", "compare")
    assert refused.returncode == 1 and "make one with `bespoke shard add`" in refused.stderr
    installed.done("shard", "add", "first", server.url, "--partitions", "2")
    told = installed.done("shard", "compare").splitlines()
    assert told[0].startswith("as of ") and told[-1] == "equal"
    assert sum(int(line.split()[3]) for line in told[1:-1]) == 3
    assert {line.split()[4:6] == ["+", "0"] for line in told[1:-1]} == {True}
    with psycopg.connect(server.url) as raw:
        # As if a worker had counted one of them once more.
        raw.execute(
            "INSERT INTO cells_by_lane SELECT (jsonb_populate_record(cell, '{\"lane\": 10001}')).*"
            " FROM cells_by_lane AS cell WHERE metric = 'purchase' LIMIT 1"
        )
    found = installed.command("shard", "compare")
    assert found.returncode == 1
    assert [" is not " in line for line in found.stdout.splitlines()].count(True) == 1
    assert "1 of 3 arms are not what the events give" in found.stderr
