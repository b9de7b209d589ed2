"""How many events a second of a processor go into a history?

`python -m benchmarks.exports --events 200000` fills an embedded database, and exports a history of it; with
`--shards 2` so many databases of a PostgreSQL of its own, each with its share.
"""

import argparse
import resource
import time
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

import numpy as np

from experiments import lifecycle
from experiments.audit import Deed
from experiments.history.export import export_history
from experiments.log.sharding import add_shard
from experiments.partitions import partition_of
from experiments.storage.events import EventRow
from experiments.storage.history_folder import HistoryFolder
from experiments.storage.sharded_store import open_shards
from experiments.storage.shards import ShardRow
from experiments.storage.store import Store
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from experiments.times import DAY_MS
from tests.experiments.documents import three_kinds
from tests.experiments.house import SECRETS
from tests.experiments.house import START
from tests.experiments.moves import SOMEBODY
from tests.experiments.moves import move_partition
from tests.postgres import running_postgres

_PARTITIONS = 8
_GROUP = 10_000
_DAYS = 10
_ARMS = ("nothing", "one-letter", "womens-letter")


def main() -> None:
    """Measure an export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--shards", type=int, default=0)
    asked = parser.parse_args()
    with TemporaryDirectory() as folder, _opened(Path(folder), shards=asked.shards) as store:
        key = _started(store)
        for first in range(0, asked.events, _GROUP):
            _insert(store, _events(key, first, min(_GROUP, asked.events - first), of=asked.events))
        print(_measured(store, key, Path(folder), events=asked.events))


@contextmanager
def _opened(folder: Path, *, shards: int) -> Iterator[Store]:
    if not shards:
        migrate_database(folder / "bespoke.db", fingerprint=SECRETS.fingerprint)
        store = open_store(folder / "bespoke.db", fingerprint=SECRETS.fingerprint)
        yield store
        store.close()
        return
    with running_postgres() as databases:
        servers = [databases.fresh() for _ in range(shards)]
        begun, *others = (open_store(server, fingerprint=SECRETS.fingerprint) for server in servers)
        log = token_hex(4)
        for number, (server, shard) in enumerate(zip(servers, (begun, *others), strict=True)):
            row = ShardRow(f"shard-{number}", server.url)
            add_shard(begun, shard, row, partitions=_PARTITIONS, log=log, deed=SOMEBODY._replace(now_ms=START))
        divided = open_shards(begun, fingerprint=SECRETS.fingerprint)
        for partition in range(_PARTITIONS):
            move_partition(divided, partition, f"shard-{partition % shards}")
        yield divided
        for each in (*others, divided):
            each.close()


def _started(store: Store) -> str:
    document = three_kinds()[0]
    lifecycle.create(store, document, deed=Deed("benchmark", START))
    lifecycle.act(store, document["key"], "start", deed=Deed("benchmark", START))
    return str(document["key"])


def _events(key: str, first: int, n: int, *, of: int) -> list[EventRow]:
    """Exposures, and after each of three another thing than before."""
    rng = np.random.default_rng(first)
    visitors = rng.bytes(16 * n)
    return [_event(key, visitors[16 * number : 16 * number + 16], first + number, of=of) for number in range(n)]


def _event(key: str, visitor: bytes, number: int, *, of: int) -> EventRow:
    at_ms, id = START + number * _DAYS * DAY_MS // of, number.to_bytes(16, "big")
    common = (visitor, id, id)
    if number % 5 < 3:
        arm = _ARMS[number % 3]
        return EventRow(
            *common, "exposure", (key,), "Experiment Viewed", at_ms, at_ms, True, True, None, arm, "everyone-else", 1,
            3333, False, '{"recency":3,"womens":true}',
        )
    if number % 5 == 3:
        return EventRow(
            *common, "outcome", (key,), "Order Completed", at_ms, at_ms, True, True, {"revenue": number % 100 + 0.5}
        )
    return EventRow(*common, "outcome", (key,), "Page Viewed", at_ms, at_ms, True, True)


def _insert(store: Store, events: Sequence[EventRow]) -> None:
    placement = getattr(store, "placement", None)
    if placement is None:
        store.transact(lambda session: session.events.insert(events))
        return
    for shard in placement.shards():
        own = [
            event for event in events if placement.shard_of(partition_of(event.visitor, placement.partitions)) == shard
        ]
        placement.store(shard).transact(lambda session: session.events.insert(own))


def _measured(store: Store, key: str, folder: Path, *, events: int) -> str:
    begun, before = time.perf_counter(), _processor_seconds()
    export_history(store, key, HistoryFolder(folder, key), keyring=SECRETS, now_ms=START + _DAYS * DAY_MS)
    seconds, spent = time.perf_counter() - begun, _processor_seconds() - before
    return (
        f"{events:,} events in {seconds:.1f} s, {events / seconds:,.0f} a second;"
        f" {events / spent:,.0f} a second of a processor"
    )


def _processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    main()
