"""A Spark cluster for tests that kill parts of it: a master and workers, processes of this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psutil

from tests.service.processes import free_port
from tests.service.processes import wait_until

#: A Java machine takes its time, on a busy one more of it.
_PATIENCE_SECONDS = 240
_EXECUTOR = "CoarseGrainedExecutorBackend"


class SparkProcess:
    """A master or a worker, with a folder for what it logs and keeps."""

    def __init__(self, folder: Path, kind: str, *arguments: str) -> None:
        package = find_spec("pyspark")
        assert package and package.origin, "pip install -e '.[spark]'"
        home = Path(package.origin).parent
        folder.mkdir(parents=True)
        self.folder = folder
        environment = {
            **os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_DIRS": str(folder)
        }
        with self._log.open("wb") as log:
            self._process = psutil.Popen(
                [home / "bin" / "spark-class", f"org.apache.spark.deploy.{kind}", "--host", "127.0.0.1",
                 "--webui-port", "0", *arguments],
                env=environment, stdout=log, stderr=log,
            )

    @property
    def _log(self) -> Path:
        return self.folder / "log.txt"

    def await_saying(self, text: str) -> None:
        """Wait until it says something."""
        wait_until(lambda: text in self._log.read_text(), what=f"{self.folder}: {text}", seconds=_PATIENCE_SECONDS)

    def executors(self) -> list[psutil.Process]:
        """The processes that it has started to work, and that have not ended."""
        return [child for child in self._process.children() if any(map(_EXECUTOR.__contains__, child.cmdline()))]

    def has_written(self) -> bool:
        """Whether an executor has written something that the rest of the work needs."""
        return any(self.folder.glob("spark-*/executor-*/blockmgr-*/*/shuffle_*.data"))

    def executors_seen(self) -> int:
        """How many executors it has started so far."""
        return sum(1 for _ in self.folder.glob("work/app-*/*"))

    def end(self) -> None:
        """End it, and what it has started."""
        for process in (*self.executors(), self._process):
            process.kill()
        self._process.wait()


class SparkCluster:
    """A master at an address, and its workers."""

    def __init__(self, folder: Path, *, workers: int) -> None:
        folder.mkdir()
        # As many parts as this machine is worth, not those of a large cluster.
        (folder / "spark-defaults.conf").write_text("spark.sql.shuffle.partitions 8\n")
        #: What whoever asks it has in the environment.
        self.settings = {"SPARK_CONF_DIR": str(folder), "SPARK_LOCAL_IP": "127.0.0.1"}
        port = str(free_port())
        self.address = f"spark://127.0.0.1:{port}"
        self._master = SparkProcess(folder / "master", "master.Master", "--port", port)
        self._master.await_saying("I have been elected leader")
        self.workers = [self._worker(folder / f"worker-{number}") for number in range(workers)]
        for worker in self.workers:
            worker.await_saying("Successfully registered with master")

    def end(self) -> None:
        """End all of it."""
        for process in (*self.workers, self._master):
            process.end()

    def _worker(self, folder: Path) -> SparkProcess:
        return SparkProcess(
            folder, "worker.Worker", "--cores", "1", "--memory", "1G", "--work-dir", str(folder / "work"), self.address
        )


@contextmanager
def running_spark(folder: Path, *, workers: int = 2) -> Iterator[SparkCluster]:
    """A cluster, until the tests with it are done."""
    cluster = SparkCluster(folder, workers=workers)
    try:
        yield cluster
    finally:
        cluster.end()
