"""Spark: a cluster that loses a worker's process adds a history up to the last bit as DuckDB does on one machine."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.experiments.crowds import write_crowd
from tests.experiments.documents import spring_mailing
from tests.service.processes import REPOSITORY
from tests.service.processes import Installed
from tests.service.processes import wait_until
from tests.spark import SparkCluster
from tests.spark import running_spark

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

_VISITORS = 100_000
_PATIENCE_SECONDS = 500


class Adding:
    """A process that adds a crowd up, and prints its cube."""

    def __init__(self, crowd: Path, engine: str, **settings: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.experiments.crowds", str(crowd), engine],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **settings},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def is_done(self) -> bool:
        return self._process.poll() is not None

    def cube(self) -> list[str]:
        """Its rows, as texts."""
        out, err = self._process.communicate(timeout=_PATIENCE_SECONDS)
        assert self._process.returncode == 0, err
        return out.splitlines()


@pytest.fixture(name="crowd", scope="module")
def _crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of many visitors."""
    folder = tmp_path_factory.mktemp("crowd")
    write_crowd(folder, _VISITORS)
    return folder


@pytest.fixture(name="expected", scope="module")
def _expected(crowd: Path) -> list[str]:
    """What DuckDB says."""
    return Adding(crowd, "duckdb").cube()


@pytest.fixture(name="spark")
def _spark(tmp_path: Path) -> Iterator[SparkCluster]:
    """A cluster of two workers."""
    with running_spark(tmp_path / "spark") as cluster:
        yield cluster


def test_the_cube_is_that_of_duckdb_with_an_executor_killed_in_the_middle(
    crowd: Path, expected: list[str], spark: SparkCluster
) -> None:
    adding = Adding(crowd, spark.address, **spark.settings)
    victim = spark.workers[0]
    wait_until(
        lambda: bool(victim.has_written() and victim.executors()) or adding.is_done(),
        what="an executor has written", seconds=_PATIENCE_SECONDS,
    )
    assert not adding.is_done(), "there is nothing left to kill"
    before = victim.executors_seen()
    for process in victim.executors():
        process.kill()
    found = adding.cube()
    assert len(expected) > 1000 and found == expected
    assert victim.executors_seen() > before, "the work went on without the one that was killed"


def test_a_history_is_verified_by_a_cluster(spark: SparkCluster, tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    installed.run_experiment(spring_mailing())
    people = "".join(f"c{number}\n" for number in range(50))
    installed.done("assign", "spring-mailing", "-", "--out", "letters.csv", stdin=f"visitor\n{people}")
    installed.done("record", "-", stdin="visitor,event,revenue\nc1,Order Completed,10\nc2,Order Completed,20.5\n")
    installed.done("export", "spring-mailing", "--history", "history")
    by_cluster = installed.done(
        "verify", "--history", "history", "--engine", spark.address,
        patience_seconds=_PATIENCE_SECONDS, **spark.settings,
    )
    assert by_cluster == installed.done("verify")
