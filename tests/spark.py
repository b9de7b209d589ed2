"""A Spark cluster for tests that kill parts of it: a master and workers, processes of this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
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
        if not self._process.is_running():
            return []
        return [child for child in self._process.children() if _EXECUTOR in _command(child)]

    def has_written(self) -> bool:
        """Whether an executor has written something that the rest of the work needs."""
        return any(self._blocks("shuffle_*.data"))

    def steps_kept(self) -> int:
        """Of how many steps executors have kept something of what was found."""
        return len({path.name.split("_")[1] for path in self._blocks("rdd_*")})

    def _blocks(self, name: str) -> Iterator[Path]:
        return self.folder.glob(f"spark-*/executor-*/blockmgr-*/*/{name}")

    def executors_seen(self) -> int:
        """How many executors it has started so far."""
        return sum(1 for _ in self.folder.glob("work/app-*/*"))

    def end(self) -> None:
        """End it, and what it has started."""
        for process in (*self.executors(), self._process):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()

    def kill(self) -> None:
        """Kill it alone; what it has started finds out."""
        self._process.kill()
        self._process.wait()


def _command(process: psutil.Process) -> str:
    """What a process runs; nothing where it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


class SparkCluster:
    """A master at an address, and its workers."""

    def __init__(self, folder: Path, *, workers: int) -> None:
        folder.mkdir()
        #: What whoever asks it has in the environment; the folder says nothing of its own.
        self.settings = {"SPARK_CONF_DIR": str(folder), "SPARK_LOCAL_IP": "127.0.0.1"}
        port = str(free_port())
        self.address = f"spark://127.0.0.1:{port}"
        self.master = SparkProcess(folder / "master", "master.Master", "--port", port)
        self.master.await_saying("I have been elected leader")
        self.workers = [self._worker(folder / f"worker-{number}") for number in range(workers)]
        for worker in self.workers:
            worker.await_saying("Successfully registered with master")

    def end(self) -> None:
        """End all of it."""
        for process in (*self.workers, self.master):
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
