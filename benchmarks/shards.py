"""What does the way through a log to shards cost, and does it grow with its workers?

The same batches go to a node on one PostgreSQL, and to a node that appends them to a log of three servers, from where
workers apply them to a shard of the same PostgreSQL. Told is what the processes of Bespoke, node and workers, do in a
second of a processor, from the first batch until the last event is in its tables: the machine has two cores, and what
waits for a free one is no cost of the way. Workers are compared by events a second of the clock.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import psycopg

from benchmarks import load
from benchmarks.events import BATCH
from benchmarks.events import events_of
from benchmarks.mailing import document
from benchmarks.nodes import NodeSite
from benchmarks.rounds import alternate
from benchmarks.rows import PER_SECOND
from benchmarks.rows import Bound
from benchmarks.rows import Row
from benchmarks.site import run
from benchmarks.size import Size
from experiments.storage.location import Server
from tests.logs import running_log
from tests.postgres import Databases
from tests.postgres import running_postgres
from tests.service.processes import wait_until

_CONNECTIONS = 4
_PARTITIONS = "8"
_MOST_WORKERS = 4
_PATIENCE_SECONDS = 120
#: Until workers have taken their partitions.
_TAKING_SECONDS = 3


class Way:
    """Batches on their way into a database: `path` has them as requests, `database` is where events end up."""

    def __init__(self, site: NodeSite, database: Server, size: Size, *, what: str) -> None:
        self._site = site
        self._database = database
        self._size = size
        events = list(events_of(site, 3 * size.rounds * size.batches * BATCH, what=what))
        batches = (events[first:first + BATCH] for first in range(0, len(events), BATCH))
        key = site.key("client")
        requests = (load.request("/v1/batch", {"batch": each}, key=key) for each in batches)
        self._path = load.write(site.folder / "batches", requests)
        self._sent = 0

    def per_core(self, workers: int) -> float:
        """Events in a second of a processor."""
        with self._site.serving() as node, self._applying(workers) as applying:
            processes = [psutil.Process(process) for process in (node.main.pid, *applying)]
            before = sum(map(_seconds, processes))
            self._send(node.port)
            self._await()
            return self._size.batches * BATCH / (sum(map(_seconds, processes)) - before)

    def per_second(self, workers: int) -> float:
        """Events that come in and are applied in a second."""
        with self._site.serving() as node, self._applying(workers):
            begun = time.perf_counter()
            self._send(node.port)
            self._await()
            return self._size.batches * BATCH / (time.perf_counter() - begun)

    def _send(self, port: int) -> None:
        load.run(self._path, port, connections=_CONNECTIONS, first=self._sent, limit=self._size.batches)
        self._sent += self._size.batches

    def _await(self) -> None:
        with psycopg.connect(self._database.url, autocommit=True) as raw:
            def is_there() -> bool:
                row = raw.execute("SELECT count(*) FROM events").fetchone()
                return row == (self._sent * BATCH,)

            wait_until(is_there, what="all events are applied", seconds=_PATIENCE_SECONDS)

    @contextmanager
    def _applying(self, number: int) -> Iterator[list[int]]:
        workers = [self._site.start("worker") for _ in range(number)]
        time.sleep(_TAKING_SECONDS if workers else 0)
        try:
            yield [worker.pid for worker in workers]
        finally:
            for worker in workers:
                worker.terminate()
                worker.wait()


def measure(size: Size) -> Iterator[Row]:
    """Cost and growth."""
    with ExitStack() as stack:
        databases = stack.enter_context(running_postgres(in_memory=False))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        log = stack.enter_context(running_log())
        alone, logged = (_site(folder / name, databases) for name in ("alone", "logged"))
        shard = databases.empty()
        logged.done("shard", "add", "first", shard.url, "--partitions", _PARTITIONS)
        logged.environ["BESPOKE_LOG_URL"] = logged.settings["BESPOKE_LOG_URL"] = log.url
        ways = {
            "ours": Way(logged, shard, size, what="batches for a log"),
            "one": Way(alone, Server(alone.settings["BESPOKE_DATABASE_URL"]), size, what="batches for one database"),
        }
        yield _cost(ways, size)
        yield _growth(ways["ours"], size)


def _site(folder: Path, databases: Databases) -> NodeSite:
    folder.mkdir()
    site = NodeSite(folder, databases.empty())
    with site.opened() as installation:
        run(installation, [document()])
    return site


def _cost(ways: dict[str, Way], size: Size) -> Row:
    found = alternate(
        "events through a log",
        {"ours": lambda _: ways["ours"].per_core(1), "one": lambda _: ways["one"].per_core(0)},
        size.rounds,
    )
    what = f"events a second of a processor, /v1/batch of {BATCH}, through a log to a shard"
    return Row(what, "a node on one PostgreSQL", PER_SECOND, found["ours"], found["one"], (Bound(0.6),))


def _growth(way: Way, size: Size) -> Row:
    found = alternate(
        "events by workers",
        {"ours": lambda _: way.per_second(_MOST_WORKERS), "one": lambda _: way.per_second(1)},
        max(size.rounds // 2, 1),
    )
    what = f"events applied by {_MOST_WORKERS} workers"
    return Row(what, "by one worker, on two cores", PER_SECOND, found["ours"], found["one"], ())


def _seconds(process: psutil.Process) -> float:
    """What a process and its children have taken of processors so far."""
    return sum(sum(each.cpu_times()[:2]) for each in (process, *process.children(recursive=True)))
