"""What do leases of partitions cost at rest, and how soon does another worker have what one held?

`python -m benchmarks.leases --workers 4` counts the statements that PostgreSQL is asked, by database, while nothing
comes; then again and again one of the workers is told to end, one comes in its place, and one is killed with -9.
"""

import argparse
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.mailing import document
from experiments.storage.location import Server
from tests.clusters import Postgres
from tests.clusters import running_cluster
from tests.logs import running_log
from tests.service.nodes import InstalledNode
from tests.service.processes import wait_until

_PARTITIONS = 64
_RESTING_SECONDS = 10
#: Until a worker is known to all, and nothing of what came before is left to do.
_SETTLING_SECONDS = 3
_HELD = "SELECT holder, count(*) FROM fences WHERE is_open AND until > now() AND holder <> '' GROUP BY holder"
_STATEMENT = re.compile(r"^of=(\w+) LOG: +(?:statement|execute [^:]*): ", re.MULTILINE)

Worker = subprocess.Popen[bytes]


class Crew:
    """The workers of an installation whose partitions are in one shard beside the control database."""

    def __init__(self, installed: InstalledNode, server: Postgres) -> None:
        self._installed = installed
        self._server = server
        self.workers: list[Worker] = []

    def come(self) -> Worker:
        """Let one more worker come."""
        self.workers.append(self._installed.start("worker"))
        return self.workers[-1]

    def held(self) -> dict[str, int]:
        """How many partitions each process holds."""
        rows = self._server.ask(_HELD, database="shard")
        return {str(holder).split("-")[-2]: int(str(n)) for holder, n in rows}

    def await_fair(self) -> float:
        """Wait until the workers hold all partitions, nobody more than a fair share; the seconds that this took."""
        begun, names = time.perf_counter(), {str(worker.pid) for worker in self.workers}
        share = -(-_PARTITIONS // len(names))

        def is_fair() -> bool:
            held = self.held()
            return held.keys() == names and sum(held.values()) == _PARTITIONS and max(held.values()) <= share

        wait_until(is_fair, what="each has its share")
        return time.perf_counter() - begun

    def replaced(self, *, is_killed: bool) -> tuple[float, float]:
        """How long it takes until the others have what one of them held, and then one that comes its share."""
        time.sleep(_SETTLING_SECONDS)
        gone = self.workers.pop(0)
        (gone.kill if is_killed else gone.terminate)()
        taken = self.await_fair()
        gone.wait()
        comes = self.come()
        wait_until(lambda: str(comes.pid) in self.held(), what="it holds something")
        return taken, self.await_fair()

    def end(self) -> None:
        """End them all."""
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.wait()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with running_cluster() as cluster, running_log() as log, TemporaryDirectory() as folder:
        crew = Crew(_installed(Path(folder), cluster.server, cluster.primary, log=log.url), cluster.primary)
        try:
            for _ in range(asked.workers):
                crew.come()
            crew.await_fair()
            _print_resting(cluster.primary)
            _print_handed_on(crew, rounds=asked.rounds)
        finally:
            crew.end()


def _installed(folder: Path, server: Server, primary: Postgres, *, log: str) -> InstalledNode:
    primary.ask("CREATE DATABASE shard")
    installed = InstalledNode(folder / "installed", server)
    installed.run_experiment(document())
    installed.done("shard", "add", "first", primary.address("shard"), "--partitions", str(_PARTITIONS))
    installed.set(BESPOKE_LOG_URL=log)
    return installed


def _print_resting(server: Postgres) -> None:
    time.sleep(_SETTLING_SECONDS)
    written = server.folder.parent / f"{server.folder.name}.log"
    with _all_logged(server):
        before = written.stat().st_size
        time.sleep(_RESTING_SECONDS)
        told = written.read_bytes()[before:].decode()
    for database, n in sorted(Counter(_STATEMENT.findall(told)).items()):
        print(f"{database}: {n / _RESTING_SECONDS:.0f} statements a second", flush=True)


@contextmanager
def _all_logged(server: Postgres) -> Iterator[None]:
    server.ask("ALTER SYSTEM SET log_line_prefix = 'of=%d '")
    _log_statements(server, "all")
    yield
    _log_statements(server, "none")


def _log_statements(server: Postgres, which: str) -> None:
    server.ask(f"ALTER SYSTEM SET log_statement = '{which}'")
    server.ask("SELECT pg_reload_conf()")
    # Until every session has heard of it.
    time.sleep(1)


def _print_handed_on(crew: Crew, *, rounds: int) -> None:
    for is_killed, what in ((False, "told to end"), (True, "killed")):
        taken, come = zip(*(crew.replaced(is_killed=is_killed) for _ in range(rounds)), strict=True)
        print(f"{what}: the others have all of it after {median(taken):.2f} s ({max(taken):.2f} s at most)")
        print(f"one that comes has its share after {median(come):.2f} s ({max(come):.2f} s at most)", flush=True)


if __name__ == "__main__":
    main()
