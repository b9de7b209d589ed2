"""Evidence: what tells why a house has failed, kept in a folder that the failure names.

Of each batch that is not counted: where it is now, in which spool or message of the log, by which number, and how far
the shard is.
"""

import json
import shutil
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import msgspec
from nats.js import JetStreamContext
from nats.js import api

from experiments.log.entries import Written
from experiments.partitions import partition_of
from experiments.signing import pseudonym
from experiments.storage.log_reader import Carried
from experiments.storage.spool_records import records
from service.cluster.joining import connected_log
from service.cluster.joining import sharded_store
from tests.service.houses import House

_SHARED = ("watermarks", "spools", "lost_spools", "partitions", "workers", "collected_waiting")
_DIVIDED = ("fences", "positions")
_SERVER = {
    "sessions": "SELECT * FROM pg_stat_activity WHERE backend_type = 'client backend'",
    "locks": "SELECT * FROM pg_locks WHERE NOT granted",
    "standbys": "SELECT * FROM pg_stat_replication",
}
_MONITORS = "jsz?streams=1&consumers=1&config=1", "varz", "healthz"


class Diary:
    """What was done to a house, and when."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._began = time.monotonic()

    def note(self, what: str) -> None:
        """Write down what is done now."""
        line = f"{time.strftime('%H:%M:%S')}, {time.monotonic() - self._began:.1f} s: {what}"
        print(line, flush=True)
        with self._path.open("a") as diary:
            diary.write(f"{line}\n")


@contextmanager
def told(house: House, folder: Path) -> Iterator[Diary]:
    """A diary; where the house fails, all that may tell why is put beside it, while everything still runs."""
    evidence = folder / "evidence"
    evidence.mkdir()
    diary = Diary(evidence / "acts.txt")
    try:
        yield diary
    except BaseException as error:
        diary.note(f"failed: {error}")
        for name, tell in _TOLD.items():
            (evidence / name).write_text(_found(tell, house))
        _copy_logs(house, evidence)
        error.add_note(f"evidence is in {evidence}; begin with missing.txt")
        raise


def _found(tell: Callable[[House], Iterator[str]], house: House) -> str:
    lines: list[str] = []
    try:
        lines.extend(tell(house))
    except Exception as error:
        # What is broken is found broken here too, and the rest is told all the same.
        lines.append(f"not all could be found: {error!r}")
    return "".join(f"{line}\n" for line in lines)


def _missing(house: House) -> Iterator[str]:
    """The batches of which no shard has the exposure, each with where it is."""
    with house.nodes[0].installed.beside() as installation:
        partitions = sharded_store(installation).placement.partitions
        key = installation.keyring.visitors
    stored = {visitor for _, _, visitor in _rows(house, "SELECT visitor FROM exposures")}
    kept = _kept(house)
    for witness in house.witnesses:
        acknowledged = witness.acknowledged()
        for number, batch in enumerate(witness.sent):
            visitor = pseudonym(batch[0]["userId"], key=key)
            if visitor not in stored:
                places = "; ".join(kept.get(visitor, ["in no spool and not in the log"]))
                where = f"{batch[0]['userId']}: partition {partition_of(visitor, partitions)}"
                yield f"{where}, sent {batch[0]['timestamp']}, answered {_told_at(acknowledged, number)}: {places}"


def _told_at(acknowledged: Mapping[int, float], number: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(acknowledged[number])) if number in acknowledged else "never"


def _kept(house: House) -> dict[bytes, list[str]]:
    """Where entries of visitors are."""
    places: dict[bytes, list[str]] = {}
    for where, body in (*_spooled(house), *_logged(house)):
        for visitor in {row.visitor for row in msgspec.msgpack.decode(body, type=Written).rows}:
            places.setdefault(visitor, []).append(where)
    return places


def _spooled(house: House) -> Iterator[tuple[str, bytes]]:
    for path in _files(house):
        for partition, number, _, offset, length in records(path):
            with path.open("rb") as stream:
                stream.seek(offset)
                body = stream.read(length)
            yield f"spool {path.parent.name}/{path.name} partition {partition} number {number}", body


def _files(house: House) -> list[Path]:
    return sorted(path for node in house.nodes for path in node.installed.folder.glob("spool/*/*.spool"))


def _logged(house: House) -> Iterator[tuple[str, bytes]]:
    for sequence, message in _messages(house):
        for number, body in enumerate(message.bodies, message.first):
            yield f"log {sequence}: {message.writer} partition {message.partition} number {number}", body


def _messages(house: House) -> list[tuple[int, Carried]]:
    with house.nodes[0].installed.beside() as installation:
        log = connected_log(installation)
        try:
            read = log.done(_all(log.context, log.name), seconds=60)
        finally:
            log.close()
    return [(sequence, msgspec.msgpack.decode(data, type=Carried)) for sequence, data in read]


async def _all(context: JetStreamContext, name: str) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    pending = (await context.stream_info(name)).state.messages
    config = api.ConsumerConfig(ack_policy=api.AckPolicy.NONE, mem_storage=True, num_replicas=1)
    subscription = await context.pull_subscribe(f"{name}.*", stream=name, config=config)
    while len(found) < pending:
        messages = await subscription.fetch(min(pending - len(found), 500), timeout=5)
        found += [(message.metadata.sequence.stream, message.data) for message in messages]
    return found


def _spools(house: House) -> Iterator[str]:
    for path in _files(house):
        yield f"{path}: {path.stat().st_size} bytes"
        for partition, number, at_ms, _, length in records(path):
            yield f"  partition {partition} number {number} at {at_ms}: {length} bytes"


def _log(house: House) -> Iterator[str]:
    for sequence, message in _messages(house):
        last = message.first + len(message.bodies) - 1
        yield f"{sequence}: {message.writer} partition {message.partition} numbers {message.first} to {last}"


def _tables(house: House) -> Iterator[str]:
    for table in _SHARED:
        yield f"control, {table}"
        yield from map(str, house.control.primary.ask(f"SELECT * FROM {table}", database="bespoke"))
    for table in _DIVIDED:
        yield from map(str, _rows(house, f"SELECT '{table}', * FROM {table} ORDER BY partition"))
    for name, statement in _SERVER.items():
        yield from (f"{name}: {row}" for row in _rows(house, statement))


def _rows(house: House, statement: str) -> list[tuple[object, ...]]:
    """What both shards find: shard, place in the answer, row."""
    return [
        (shard, number, *row)
        for shard, server, name in house.shards()
        for number, row in enumerate(server.ask(statement, database=name))
    ]


def _report(house: House) -> Iterator[str]:
    yield json.dumps(house.report(), indent=1)
    for node in house.nodes:
        yield json.dumps(node.readiness(), indent=1)


def _monitors(house: House) -> Iterator[str]:
    for node in house.log.nodes:
        for path in _MONITORS:
            try:
                with urlopen(f"http://127.0.0.1:{node.http}/{path}", timeout=5) as answer:
                    yield f"{node.name} {path}: {answer.read().decode()}"
            except OSError as error:
                yield f"{node.name} {path}: {error}"


def _copy_logs(house: House, evidence: Path) -> None:
    for node in house.nodes:
        shutil.copy(node.installed.log, evidence / f"node-{node.installed.folder.name}.log")
    for server in house.log.nodes:
        shutil.copy(server.folder / "log.txt", evidence / f"nats-{server.name}.log")
    for name, cluster in (("first", house.first), ("control", house.control)):
        for each in filter(None, (cluster.primary, cluster.standby)):
            shutil.copy(each.log, evidence / f"postgres-{name}-{each.folder.name}.log")


_TOLD: dict[str, Callable[[House], Iterator[str]]] = {
    "missing.txt": _missing, "spools.txt": _spools, "log.txt": _log, "tables.txt": _tables, "report.txt": _report,
    "nats.txt": _monitors,
}
