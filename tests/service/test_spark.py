"""Spark: a cluster adds a history up to the last bit as DuckDB does on one machine, whatever of it is killed."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.experiments.crowds import write_crowd
from tests.experiments.documents import spring_mailing
from tests.service.processes import Installed
from tests.service.processes import REPOSITORY
from tests.service.processes import wait_until
from tests.spark import SparkCluster
from tests.spark import SparkProcess
from tests.spark import running_spark

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

_VISITORS = 300_000
_PATIENCE_SECONDS = 500


class Adding:
    """A process that adds a crowd up, and writes its cube into a file."""

    def __init__(self, crowd: Path, engine: str, cube: Path, **settings: str) -> None:
        self._cube = cube
        # A pipe that nobody reads would let it wait.
        with cube.open("w") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.experiments.crowds", str(crowd), engine],
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), **settings}, stdout=out,
            )

    def is_done(self) -> bool:
        return self._process.poll() is not None

    def await_moment(self, is_there: Callable[[], bool], what: str) -> None:
        """Wait for a moment amid the work."""
        wait_until(lambda: is_there() or self.is_done(), what=what, seconds=_PATIENCE_SECONDS)
        assert not self.is_done(), "there is nothing left to kill"

    def cube(self) -> list[str]:
        """Its rows, as texts."""
        assert self._process.wait(timeout=_PATIENCE_SECONDS) == 0
        return self._cube.read_text().splitlines()


@pytest.fixture(name="crowd", scope="module")
def _crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of many visitors."""
    folder = tmp_path_factory.mktemp("crowd")
    write_crowd(folder, _VISITORS)
    return folder


@pytest.fixture(name="expected", scope="module")
def _expected(crowd: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What DuckDB says."""
    cube = Adding(crowd, "duckdb", tmp_path_factory.mktemp("duckdb") / "cube.txt").cube()
    assert len(cube) > 1000
    return cube


@pytest.fixture(name="spark", scope="module")
def _spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    """A cluster of two workers, of which tests kill executors only."""
    with running_spark(tmp_path_factory.mktemp("cluster") / "spark") as cluster:
        yield cluster


@pytest.fixture(name="mortal")
def _mortal(tmp_path: Path) -> Iterator[SparkCluster]:
    """A cluster of two workers for a test of its own."""
    with running_spark(tmp_path / "spark") as cluster:
        yield cluster


@pytest.fixture(name="installed", scope="module")
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An installation in which some customers bought something, and its history."""
    installed = Installed(tmp_path_factory.mktemp("installed"))
    installed.run_experiment(spring_mailing())
    people = "".join(f"c{number}\n" for number in range(50))
    installed.done("assign", "spring-mailing", "-", "--out", "letters.csv", stdin=f"visitor\n{people}")
    installed.done("record", "-", stdin="visitor,event,revenue\nc1,Order Completed,10\nc2,Order Completed,20.5\n")
    installed.done("export", "spring-mailing", "--history", "history")
    return installed


_MOMENTS: dict[str, Callable[[SparkProcess], bool]] = {
    "before it has written anything": lambda worker: True,
    "once others need what it has written": SparkProcess.has_written,
    "once it keeps the first step": lambda worker: worker.steps_kept() > 0,
    "once it keeps every step": lambda worker: worker.steps_kept() > 1,
}


@pytest.mark.parametrize("moment", _MOMENTS)
def test_the_cube_is_that_of_duckdb_with_an_executor_killed(
    moment: str, crowd: Path, expected: list[str], spark: SparkCluster, tmp_path: Path
) -> None:
    victim = spark.workers[0]
    before = victim.executors_seen()
    adding = Adding(crowd, spark.address, tmp_path / "cube.txt", **spark.settings)
    adding.await_moment(lambda: bool(_MOMENTS[moment](victim) and victim.executors()), moment)
    for process in victim.executors():
        process.kill()
    assert adding.cube() == expected
    assert victim.executors_seen() > before + 1, "the work went on without the one that was killed"


def test_the_cube_is_that_of_duckdb_with_a_worker_and_what_it_keeps_killed(
    crowd: Path, expected: list[str], mortal: SparkCluster, tmp_path: Path
) -> None:
    adding = Adding(crowd, mortal.address, tmp_path / "cube.txt", **mortal.settings)
    adding.await_moment(lambda: mortal.workers[0].steps_kept() > 0, "a step is kept")
    mortal.workers[0].end()
    assert adding.cube() == expected


def test_the_cube_is_that_of_duckdb_with_the_master_killed_once_work_has_begun(
    crowd: Path, expected: list[str], mortal: SparkCluster, tmp_path: Path
) -> None:
    adding = Adding(crowd, mortal.address, tmp_path / "cube.txt", **mortal.settings)
    adding.await_moment(mortal.workers[0].has_written, "an executor has written")
    mortal.master.kill()
    assert adding.cube() == expected


def test_the_cubes_of_hostile_histories_are_those_of_the_oracle(spark: SparkCluster, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "tests.experiments.cube_oracle", str(tmp_path), spark.address, "1", "2", "3"]
    done = subprocess.run(
        line, env={**os.environ, "PYTHONPATH": str(REPOSITORY), **spark.settings}, capture_output=True, text=True,
        timeout=_PATIENCE_SECONDS, check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [int(line) for line in done.stdout.splitlines()]
    assert len(rows) == 3 and min(rows) > 100


def test_a_history_is_verified_by_a_cluster(spark: SparkCluster, installed: Installed) -> None:
    by_cluster = installed.done(
        "verify", "--history", "history", "--engine", spark.address,
        patience_seconds=_PATIENCE_SECONDS, **spark.settings,
    )
    assert by_cluster == installed.done("verify")


def _refused(installed: Installed, engine: str, **settings: str) -> str:
    """What a command says that cannot ask a cluster."""
    line = ("verify", "--history", "history", "--engine", engine)
    done = installed.command(*line, patience_seconds=_PATIENCE_SECONDS, **settings)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    return done.stderr.splitlines()[-1]


def test_a_damaged_file_is_named(spark: SparkCluster, installed: Installed) -> None:
    [path] = (installed.folder / "history").glob("*/outcomes/received=2*/*.parquet")
    content = path.read_bytes()
    path.write_bytes(bytes(len(content) // 3) + content[len(content) // 3 :])
    said = _refused(installed, spark.address, **spark.settings)
    path.write_bytes(content)
    assert said.startswith(f"bespoke: {spark.address}: ") and str(path) in said


def test_a_master_that_is_away_is_told(installed: Installed) -> None:
    assert "spark://127.0.0.1:1: no master answers there: " in _refused(installed, "spark://127.0.0.1:1")
    assert "here:port must be host:port" in _refused(installed, "spark://here:port")


def test_java_that_is_missing_or_too_old_is_told(installed: Installed) -> None:
    assert "Spark needs Java 17 or newer, and /nowhere/bin/java is not there" in _refused(
        installed, "spark://127.0.0.1:1", JAVA_HOME="/nowhere"
    )
    java = installed.folder / "bin" / "java"
    java.parent.mkdir()
    # What Java 11 says.
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(stat.S_IRWXU)
    said = _refused(installed, "spark://127.0.0.1:1", JAVA_HOME=str(installed.folder))
    assert "Spark needs Java 17 or newer" in said and "openjdk version \"11.0.2\"" in said


def test_a_cluster_of_which_nobody_works_is_given_up(installed: Installed, tmp_path: Path) -> None:
    with running_spark(tmp_path / "spark", workers=0) as cluster:
        said = _refused(installed, cluster.address, **cluster.settings)
    assert said == f"bespoke: {cluster.address}: no worker of it has been at work for 60 s"
