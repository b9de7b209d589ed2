"""What does the way through a log to shards cost, does it grow with its workers, and how soon does an epoch arrive?

The same batches go to a node on one PostgreSQL, and to a node that appends them to a log of three servers, from where
workers apply them to a shard of the same PostgreSQL. Told is what the processes of Bespoke, node and workers, do in a
second of a processor, from the first batch until the last event is in its tables: the machine has two cores, and what
waits for a free one is no cost of the way. One, two and four workers have the same backlog to apply, in a shard that
was held up until it was complete. They are compared by events a second of the clock, which two cores limit, and by what
an event costs all of them together: where that stays, they grow with their cores.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import psutil
import psycopg

from benchmarks import load
from benchmarks.events import BATCH
from benchmarks.events import events_of
from benchmarks.growth import LEVEL
from benchmarks.mailing import document
from benchmarks.nodes import NodeSite
from benchmarks.nodes import epochs
from benchmarks.rounds import alternate
from benchmarks.rows import PER_SECOND
from benchmarks.rows import Bound
from benchmarks.rows import Curve
from benchmarks.rows import Row
from benchmarks.site import run
from benchmarks.size import Size
from experiments.storage.location import Server
from tests.logs import running_log
from tests.postgres import Databases
from tests.postgres import running_postgres
from tests.service.processes import wait_until

_CONNECTIONS = 4
_PARTITIONS = 8
_NODES = 3
_WORKERS = (1, 2, 4)
_PATIENCE_SECONDS = 120
_HOLDERS = "SELECT count(DISTINCT holder), count(*) FROM fences WHERE until > now()"


class Spent(NamedTuple):
    """What a run has taken: seconds of the clock, of a processor for the node, and for all of its workers."""

    clock: float
    node: float
    workers: float


class Way:
    """Batches on their way into a database: `path` has them as requests, `database` is where events end up."""

    def __init__(self, site: NodeSite, database: Server, size: Size, *, what: str) -> None:
        self._site = site
        self._database = database
        self._batches = size.batches
        events = list(events_of(site, 3 * size.rounds * self.events, what=what))
        batches = (events[first:first + BATCH] for first in range(0, len(events), BATCH))
        key = site.key("client")
        requests = (load.request("/v1/batch", {"batch": each}, key=key) for each in batches)
        self._path = load.write(site.folder / "batches", requests)
        self._sent = 0

    @property
    def events(self) -> int:
        """How many a run takes."""
        return self._batches * BATCH

    def run(self, workers: int) -> Spent:
        """Send the next batches, until all of their events are in the database."""
        with self._site.serving() as node, self._applying(workers) as applying:
            processes = [psutil.Process(process) for process in (node.main.pid, *applying)]
            before, begun = [_seconds(process) for process in processes], time.perf_counter()
            self._send(node.port)
            self._await()
            clock = time.perf_counter() - begun
            taken = [_seconds(process) - then for process, then in zip(processes, before, strict=True)]
            return Spent(clock, taken[0], sum(taken[1:]))

    def catch_up(self, workers: int) -> Spent:
        """Send the next batches while the shard is held up, and let so many workers apply them then."""
        with self._site.serving() as node, self._applying(workers) as applying:
            with self._held_up():
                self._send(node.port)
            processes = [psutil.Process(process) for process in applying]
            before, begun = sum(map(_seconds, processes)), time.perf_counter()
            self._await()
            return Spent(time.perf_counter() - begun, 0.0, sum(map(_seconds, processes)) - before)

    @contextmanager
    def _held_up(self) -> Iterator[None]:
        with psycopg.connect(self._database.url) as raw:
            raw.execute("LOCK TABLE writing IN EXCLUSIVE MODE")
            yield

    def per_core(self, workers: int) -> float:
        """Events in a second of a processor."""
        spent = self.run(workers)
        return self.events / (spent.node + spent.workers)

    def _send(self, port: int) -> None:
        load.run(self._path, port, connections=_CONNECTIONS, first=self._sent, limit=self._batches)
        self._sent += self._batches

    def _await(self) -> None:
        with psycopg.connect(self._database.url, autocommit=True) as raw:
            def is_there() -> bool:
                row = raw.execute("SELECT count(*) FROM events").fetchone()
                return row == (self._sent * BATCH,)

            wait_until(is_there, what="all events are applied", seconds=_PATIENCE_SECONDS)

    def _await_shares(self, workers: int) -> None:
        """Wait until each has its share of the partitions, and nothing but events is left to do."""
        with psycopg.connect(self._database.url, autocommit=True) as raw:
            wait_until(
                lambda: not workers or raw.execute(_HOLDERS).fetchone() == (workers, _PARTITIONS),
                what="workers have their shares", seconds=_PATIENCE_SECONDS,
            )

    @contextmanager
    def _applying(self, number: int) -> Iterator[list[int]]:
        workers = [self._site.start("worker") for _ in range(number)]
        try:
            self._await_shares(number)
            yield [worker.pid for worker in workers]
        finally:
            for worker in workers:
                worker.terminate()
                worker.wait()


def measure(size: Size) -> Iterator[Row | Curve]:
    """Cost and growth."""
    with ExitStack() as stack:
        databases = stack.enter_context(running_postgres(in_memory=False))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        log = stack.enter_context(running_log())
        alone, logged = (_site(folder / name, databases) for name in ("alone", "logged"))
        shard = databases.empty()
        ways = {
            "ours": Way(logged, shard, size, what="batches for a log"),
            "one": Way(alone, Server(alone.settings["BESPOKE_DATABASE_URL"]), size, what="batches for one database"),
        }
        logged.done("shard", "add", "first", shard.url, "--partitions", str(_PARTITIONS))
        logged.environ["BESPOKE_LOG_URL"] = logged.settings["BESPOKE_LOG_URL"] = log.url
        yield _cost(ways, size)
        yield from _growth(ways["ours"], size)
        yield epochs(logged, size, nodes=_NODES, what=f"an epoch to {_NODES} nodes by the bucket of the log")


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


def _growth(way: Way, size: Size) -> Iterator[Row | Curve]:
    spent: dict[int, list[Spent]] = {number: [] for number in _WORKERS}

    def per_second(number: int) -> float:
        spent[number].append(way.catch_up(number))
        return way.events / spent[number][-1].clock

    contenders = {str(number): lambda _, number=number: per_second(number) for number in _WORKERS}
    found = alternate("events by workers", contenders, max(size.rounds // 2, 1))
    for number in _WORKERS[1:]:
        what = f"events applied by {number} workers"
        yield Row(what, "by one worker, on two cores", PER_SECOND, found[str(number)], found["1"], ())
    costs = {number: median(each.workers for each in spent[number]) / way.events * 1e6 for number in _WORKERS}
    yield Curve("one event, applied by workers", "workers", costs, LEVEL)


def _seconds(process: psutil.Process) -> float:
    """What a process and its children have taken of processors so far."""
    return sum(sum(each.cpu_times()[:2]) for each in (process, *process.children(recursive=True)))
