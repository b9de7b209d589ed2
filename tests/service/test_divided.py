"""Visitors in two databases: whatever is asked of them is answered, erased and exported as if they were in one."""

import signal
import subprocess
import sys
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from typing import NamedTuple

import numpy as np
import psycopg
import pytest

from experiments.audit import Deed
from experiments.discovery.proposals import discover
from experiments.errors import StorageBusy
from experiments.errors import StorageError
from experiments.events import Terms
from experiments.exports import ROW_LEVEL
from experiments.exports import export
from experiments.frequency.sends import frequency_report
from experiments.log import moving
from experiments.log.collecting import collect
from experiments.partitions import partition_of
from experiments.privacy.access import access
from experiments.privacy.erasure import Erased
from experiments.privacy.erasure import Remembering
from experiments.privacy.erasure import erase
from experiments.privacy.erasure import erase_again
from experiments.privacy.opt_outs import opt_out
from experiments.privacy.retention import Keeping
from experiments.privacy.retention import retain
from experiments.replay.records import replay
from experiments.review.segments import review
from experiments.signing import disguised
from experiments.storage import movable_part
from experiments.storage.location import Server
from experiments.storage.session import Session
from experiments.storage.sharded_store import ShardedStore
from experiments.storage.sharded_store import open_shards
from experiments.storage.store import open_store
from experiments.verification import verify
from service.tables.export_files import file_of
from tests.experiments.divided import Divided
from tests.experiments.divided import PARTITIONS
from tests.experiments.divided import SHARDS
from tests.experiments.divided import divided_house
from tests.experiments.divided import stand_in
from tests.experiments.documents import tiny
from tests.experiments.house import DAY
from tests.experiments.house import House
from tests.experiments.house import SECRETS
from tests.experiments.moves import move_partition
from tests.experiments.tastes import letters
from tests.experiments.tastes import send
from tests.logs import running_log
from tests.postgres import Databases
from tests.service.processes import wait_until

_DAYS = 86_400
TERMS = Terms("personalise", 90 * _DAYS)
REMEMBERING = Remembering(TERMS, 90 * _DAYS, 0)
KEEPING = Keeping(TERMS, 90 * _DAYS, 30 * _DAYS, 30 * _DAYS)
VISITORS = [f"v{number}" for number in range(24)]


@pytest.fixture(autouse=True)
def _noticed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has not heard of a move must notice by itself."""
    monkeypatch.setattr(moving, "_NOTICING_SECONDS", 0.0)


@pytest.fixture(scope="module")
def log() -> Iterator[str]:
    """A log of one server."""
    with running_log(nodes=1) as log:
        yield log.url


class Both(NamedTuple):
    """One history, in one database and in two."""

    alone: House
    divided: Divided


def shop(house: House) -> None:
    """Visitors with tastes get one of two letters, some of them twice, and buy; some are gone, and some are early."""
    house.start(letters(policy={"kind": "fixed"}))
    house.record(*(house.event(f"early{number}", "Order Completed") for number in range(9)))
    for day in range(2):
        send(house, "letters", visitors=1200, rng=np.random.default_rng(day))
        house.now_ms += DAY
    again = [f"letters-{house.now_ms - DAY}-{number}" for number in range(60)]
    house.record(*(house.exposure("letters", visitor) for visitor in again))
    for visitor in again[::6]:
        erased(house, visitor)
    house.now_ms += 20 * DAY


def erased(house: House, visitor: str) -> Erased:
    """What an erasure comes to."""
    gone = erase(house.store, visitor, keyring=SECRETS, remembering=REMEMBERING, deed=Deed("test", house.now_ms))
    house.snapshots.refresh()
    return gone


@pytest.fixture(scope="module")
def both(postgres: Databases, log: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """The same history twice."""
    alone = House(open_store(postgres.fresh(), fingerprint=SECRETS.fingerprint))
    shop(alone)
    with divided_house(postgres, tmp_path_factory.mktemp("divided") / "spool", log=log) as divided:
        with divided.at_work():
            shop(divided)
        yield Both(alone, divided)
    alone.store.close()


@pytest.fixture
def divided(postgres: Databases, log: str, tmp_path: Path) -> Iterator[Divided]:
    """Two databases that know some visitors, of whom every third has signed up."""
    with divided_house(postgres, tmp_path / "spool", log=log) as house:
        metrics = [*tiny()["metrics"], {
            "key": "gone", "event": "Opted Out", "kind": "conversion", "role": "guardrail", "direction": "decrease",
            "limit": 0.5,
        }]
        house.start(tiny(metrics=metrics))
        with house.at_work():
            house.record(*(house.exposure("tiny", visitor) for visitor in VISITORS))
            house.record(*(house.event(visitor, "Signed Up") for visitor in (*VISITORS[::3], "early")))
        yield house


def somebody_in(house: Divided, shard: str) -> str:
    """A visitor who is in a shard, and has signed up."""
    return next(visitor for visitor in VISITORS[::3] if house.shard_of(visitor) == shard)


def faults(house: Divided) -> list[str]:
    """What a recount of all databases finds wrong."""
    return verify(house.store, [house.store.placement.store("second")])


def marks(house: Divided, shard: str) -> set[bytes]:
    """The marks of the erased in a shard."""
    return {mark for mark, _ in house.shards()[shard].read(lambda session: session.tombstones.all())}


def mark_of(visitor: str) -> bytes:
    """The mark of one."""
    [mark] = disguised([stand_in(visitor)], key=SECRETS.tombstones)
    return mark


def table(house: House, name: str, kind: str) -> bytes:
    """An export."""
    return b"".join(file_of(export(house.store, "letters", name, keyring=SECRETS, min_cell=0), kind))


def test_both_databases_have_visitors(both: Both) -> None:
    numbers = [
        store.read(lambda session: len(session.exposures.all("letters"))) for store in both.divided.shards().values()
    ]
    assert sum(numbers) == 2390 and min(numbers) > 1000
    assert faults(both.divided) == [] and verify(both.alone.store) == []


@pytest.mark.parametrize("name", ROW_LEVEL)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_exports_are_the_same_to_the_byte(both: Both, name: str, kind: str) -> None:
    alone, divided = (rows_in(house, name, kind) for house in both)
    assert alone == divided and len(alone) > 200


def rows_in(house: House, name: str, kind: str) -> list[Any]:
    """The rows of an export, in their order."""
    if kind == "csv":
        return table(house, name, kind).splitlines()
    import pyarrow
    from pyarrow import parquet

    rows: list[Any] = parquet.read_table(pyarrow.BufferReader(table(house, name, kind))).to_pylist()
    return rows


def test_pages_of_exports_end_anywhere(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [table(both.divided, name, "csv") for name in ROW_LEVEL]
    monkeypatch.setattr("experiments.exports._PAGE", 7)
    assert [table(both.divided, name, "csv") for name in ROW_LEVEL] == whole


def test_discovery_and_frequency_and_review_and_replay_are_the_same(both: Both) -> None:
    alone, divided = (found_in(house) for house in both)
    assert alone == divided
    assert alone[0].visitors == 2390 and alone[1].rows and alone[2].drifts and alone[3].alternatives


def found_in(house: House) -> tuple[Any, ...]:
    """What is found by looking at all visitors."""
    key, now_ms = "letters", house.now_ms
    return (
        discover(house.store, key, min_cell=10),
        frequency_report(house.store, key, now_ms=now_ms, min_cell=10),
        review(house.store, key, now_ms=now_ms, min_cell=10),
        replay(house.store, key, now_ms=now_ms, min_cell=10),
    )


def test_what_is_known_of_a_visitor_is_the_same(both: Both) -> None:
    for visitor in [f"letters-{both.alone.now_ms - 21 * DAY}-{number}" for number in range(12)] + ["early3", "nobody"]:
        alone, divided = (access(house.store, visitor, keyring=SECRETS) for house in both)
        assert alone == divided


@pytest.mark.parametrize("shard", ["first", "second"])
def test_who_is_erased_is_in_no_database_and_counts_stay(divided: Divided, shard: str) -> None:
    visitor, before = somebody_in(divided, shard), divided.report("tiny")
    assert erased(divided, visitor)[:2] == (1, 2)
    divided.settle()
    assert divided.tables_of(visitor) == {"first": [], "second": []}
    assert mark_of(visitor) in marks(divided, shard) & marks(divided, "first")
    assert divided.report("tiny") == before and faults(divided) == []
    assert access(divided.store, visitor, keyring=SECRETS)["erased_until"]
    with divided.at_work():
        assert divided.record(divided.event(visitor, "Signed Up"))[0].code == "erased"
    assert divided.tables_of(visitor) == {"first": [], "second": []}


def test_who_waited_in_another_database_is_an_orphan_once_erased(divided: Divided) -> None:
    assert divided.report("tiny")["diagnostics"]["waiting"] == 1
    assert erased(divided, "early")[:2] == (0, 1)
    divided.settle()
    told = divided.report("tiny")["diagnostics"]
    assert (told["waiting"], told["orphans"]) == (0, 1)


def test_what_waits_in_another_database_becomes_an_orphan_though_nothing_comes_any_more(divided: Divided) -> None:
    assert divided.shard_of("early") == "second"
    for days, expected in ((13, (1, 0)), (1, (0, 1)), (1, (0, 1))):
        divided.now_ms += days * DAY
        collect(divided.store, now_ms=divided.now_ms)
        told = divided.report("tiny")["diagnostics"]
        assert (told["waiting"], told["orphans"]) == expected, days


@pytest.mark.parametrize("shard", ["first", "second"])
def test_what_is_in_spool_or_log_when_somebody_is_erased_is_stored_nowhere(divided: Divided, shard: str) -> None:
    visitor, other = somebody_in(divided, shard), VISITORS[1]
    seen, signed = divided.exposure("tiny", visitor), divided.event(visitor, "Signed Up")
    receipts = divided.record(seen, signed, divided.event(other, "Signed Up"))
    assert [receipt.status for receipt in receipts] == ["accepted"] * 3
    assert erased(divided, visitor)[:2] == (1, 2)
    with divided.at_work():
        pass
    assert divided.tables_of(visitor) == {"first": [], "second": []}
    assert divided.total("tiny", "signup") == (len(VISITORS), len(VISITORS[::3]) + 1)
    assert faults(divided) == []


def test_who_is_erased_while_events_are_applied_is_stored_nowhere(divided: Divided) -> None:
    some = VISITORS[:8]
    with divided.at_work():
        for visitor in some:
            House.record(divided, *(divided.event(each, "Signed Up") for each in some))
            erased(divided, visitor)
    assert all(divided.tables_of(visitor) == {"first": [], "second": []} for visitor in some)
    assert faults(divided) == []


def test_who_is_erased_while_the_partition_is_moved_is_gone_from_both(divided: Divided, postgres: Databases) -> None:
    visitor = somebody_in(divided, "first")
    partition, results = partition_of(stand_in(visitor), PARTITIONS), list[Erased]()
    moving = Thread(target=move_partition, args=(divided.store, partition, "second"))
    erasing = Thread(target=lambda: results.append(erased(divided, visitor)))
    with held_up(divided, "second"):
        moving.start()
        wait_until(lambda: is_closed(divided, "first", partition), what="the move has begun")
        erasing.start()
        erasing.join(0.3)
        assert erasing.is_alive() and moving.is_alive()
    for thread in (moving, erasing):
        thread.join()
    assert results[0][:2] == (1, 2)
    divided.settle()
    assert divided.shard_of(visitor) == "second"
    assert divided.tables_of(visitor) == {"first": [], "second": []}
    assert mark_of(visitor) in marks(divided, "second")
    assert faults(divided) == []


class held_up:
    """Nobody can write into a shard's events for now."""

    def __init__(self, house: Divided, shard: str) -> None:
        self._connection = psycopg.connect(server_of(house, shard).url)

    def __enter__(self) -> None:
        self._connection.execute("LOCK TABLE events IN SHARE MODE")

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def is_closed(house: Divided, shard: str, partition: int) -> bool:
    """Whether nobody may apply to a partition in a shard."""
    return partition not in house.shards()[shard].read(lambda session: session.fences.applied())


def test_what_cannot_be_erased_for_a_move_says_so_and_is_erased_after_it(
    divided: Divided, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(movable_part, "_PATIENCE_SECONDS", 0.1)
    visitor = somebody_in(divided, "second")
    partition = partition_of(stand_in(visitor), PARTITIONS)
    moving = Thread(target=move_partition, args=(divided.store, partition, "first"))
    with held_up(divided, "first"):
        moving.start()
        wait_until(lambda: is_closed(divided, "second", partition), what="the move has begun")
        with pytest.raises(StorageBusy, match=f"partition {partition} is being moved"):
            erased(divided, visitor)
        assert access(divided.store, visitor, keyring=SECRETS)["exposures"]
    moving.join()
    assert erased(divided, visitor)[:2] == (1, 2)
    divided.settle()
    assert divided.tables_of(visitor) == {"first": [], "second": []}
    assert faults(divided) == []


def test_who_is_known_again_since_a_shard_was_brought_back_is_erased_again(divided: Divided) -> None:
    visitor, before = somebody_in(divided, "second"), divided.report("tiny")
    bring_back = backed_up(divided, visitor)
    erased(divided, visitor)
    bring_back()
    assert divided.tables_of(visitor)["second"] == ["events", "exposures", "totals"]
    assert erase_again(divided.store, keyring=SECRETS, deed=Deed("test", divided.now_ms)) == 1
    divided.settle()
    assert divided.tables_of(visitor) == {"first": [], "second": []}
    assert mark_of(visitor) in marks(divided, "second")
    assert divided.report("tiny") == before and faults(divided) == []
    assert erase_again(divided.store, keyring=SECRETS, deed=Deed("test", divided.now_ms)) == 0


def backed_up(house: Divided, visitor: str) -> Callable[[], None]:
    """Brings back what the shard of a visitor has of the partition now, rows and sums."""
    partition, part = partition_of(stand_in(visitor), PARTITIONS), house.store.part_of(stand_in(visitor))
    store = house.shards()[house.shard_of(visitor)]
    rows, sums = store.read(lambda session: (list(session.partition_rows.of(part.span)), session.sums.of(partition)))

    def bring_back(session: Session) -> None:
        session.partition_rows.remove(part.span)
        for table, columns, some in rows:
            session.partition_rows.put(table, columns, some)
        session.sums.replace(partition, sums)
        session.connection.execute("DELETE FROM tombstones")

    return lambda: store.transact(bring_back)


def test_marks_go_along_with_a_partition(divided: Divided) -> None:
    visitor = somebody_in(divided, "second")
    late = divided.record(divided.event(visitor, "Signed Up"))
    erased(divided, visitor)
    divided.shards()["first"].transact(lambda session: session.connection.execute("DELETE FROM tombstones"))
    move_partition(divided.store, partition_of(stand_in(visitor), PARTITIONS), "first")
    with divided.at_work():
        pass
    assert late[0].status == "accepted" and divided.tables_of(visitor) == {"first": [], "second": []}


def test_a_process_that_has_not_heard_of_a_move_asks_again(divided: Divided, postgres: Databases) -> None:
    stale = open_shards_of(divided)
    try:
        visitor = somebody_in(divided, "second")
        before = access(divided.store, visitor, keyring=SECRETS)
        rows = export(stale, "tiny", "exposures", keyring=SECRETS, min_cell=0)
        move_partition(divided.store, partition_of(stand_in(visitor), PARTITIONS), "first")
        assert access(stale, visitor, keyring=SECRETS) == before
        assert sum(map(len, rows.pages)) == len(VISITORS)
    finally:
        stale.close()


def open_shards_of(house: Divided) -> ShardedStore:
    """The same databases as another process has them open."""
    control = open_store(server_of(house, "first"), fingerprint=SECRETS.fingerprint)
    return open_shards(control, fingerprint=SECRETS.fingerprint)


def server_of(house: Divided, shard: str) -> Server:
    """The database of a shard."""
    rows = house.store.read(lambda session: session.shards.all())
    return next(Server(row.address) for row in rows if row.name == shard)


def test_who_objects_is_counted_as_withdrawn_where_their_rows_are(divided: Divided) -> None:
    visitors = [somebody_in(divided, shard) for shard in SHARDS]
    with divided.at_work():
        opt_out(
            divided.store, divided.snapshots, [*visitors, "stranger"], keyring=SECRETS, now_ms=divided.now_ms,
            log=divided.log,
        )
    assert divided.total("tiny", "gone") == (len(VISITORS), 2)
    assert divided.evaluate("tiny", visitors[0]).assignment.cause == "opted_out"
    assert faults(divided) == []


def retained(house: House) -> int:
    """The rows that go now, until none is left that must."""
    removed = 0
    while step := retain(house.store, house.snapshots, KEEPING, now_ms=house.now_ms):
        removed += step
    return removed


def rows_left(house: Divided) -> list[int]:
    """How many rows of visitors each database has."""
    question = "SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM exposures) + (SELECT count(*) FROM totals)"
    return [
        int(store.read(lambda session: session.connection.execute(question).fetchone()[0]))
        for store in house.shards().values()
    ]


def test_what_is_kept_no_longer_goes_from_every_database_and_counts_stay(divided: Divided) -> None:
    divided.act("tiny", "stop")
    divided.now_ms += 20 * DAY
    before = divided.report("tiny")
    divided.now_ms += 365 * DAY
    assert min(rows_left(divided)) > 0 and retained(divided) > 0
    divided.settle()
    assert rows_left(divided) == [0, 0]
    after = divided.report("tiny")
    assert all(after[part] == before[part] for part in ("arms", "totals", "naive", "verdict"))
    assert faults(divided) == []
    row = divided.store.read(lambda session: session.audit.last())
    assert row and (row.action, row.subject) == ("forget visitors", "tiny")
    assert retained(divided) == 0


def test_a_process_that_is_killed_while_it_removes_has_done_a_step_whole_or_not_at_all(divided: Divided) -> None:
    divided.act("tiny", "stop")
    divided.now_ms += 365 * DAY
    for partition in range(0, PARTITIONS, 2):
        move_partition(divided.store, partition, "second")
    left = rows_left(divided)
    for point in ("removal-of-events", "removal-committed", "removal-of-visitors"):
        killed_while_retaining(divided, point)
        now = rows_left(divided)
        assert (now == left) == (point != "removal-committed")
        assert faults(divided) == []
        left = now
    retained(divided)
    divided.settle()
    assert rows_left(divided) == [0, 0] and faults(divided) == []


def killed_while_retaining(house: Divided, point: str) -> None:
    """Let another process remove what is kept no longer, and kill itself at a step."""
    url = server_of(house, "first").url
    done = subprocess.run([sys.executable, "-c", _RETAINING, url, point, str(house.now_ms)], check=False)
    assert done.returncode == -signal.SIGKILL


_RETAINING = """
import sys
from experiments.failpoints import Failpoint, arm
from experiments.privacy.retention import retain
from experiments.snapshot import Snapshots
from experiments.storage.location import Server
from experiments.storage.sharded_store import open_shards
from experiments.storage.store import open_store
from tests.experiments.house import SECRETS
from tests.service.test_divided import KEEPING
_, url, point, now_ms = sys.argv
fingerprint = SECRETS.fingerprint
store = open_shards(open_store(Server(url), fingerprint=fingerprint), fingerprint=fingerprint)
arm(Failpoint(point))
while retain(store, Snapshots(store), KEEPING, now_ms=int(now_ms)):
    pass
"""


def test_a_database_that_is_away_keeps_the_others_from_nothing(divided: Divided, postgres: Databases) -> None:
    divided.now_ms += 365 * DAY
    gone, [first, second] = somebody_in(divided, "second"), rows_left(divided)
    with away(divided, "second", postgres):
        with pytest.raises(StorageError):
            retained(divided)
        with pytest.raises(StorageError):
            erased(divided, gone)
        with pytest.raises(StorageError):
            access(divided.store, gone, keyring=SECRETS)
        assert erased(divided, somebody_in(divided, "first")).exposures == 1
    retained(divided)
    assert rows_left(divided)[0] < first and rows_left(divided)[1] < second
    assert erased(divided, gone).exposures == 1
    assert faults(divided) == []


@contextmanager
def away(house: Divided, shard: str, postgres: Databases) -> Iterator[None]:
    """A database lets nobody in."""
    name = postgres.name_of(server_of(house, shard))
    postgres.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    # As whoever watches does all the time.
    house.store.changes()
    wait_until(lambda: house.store.placement.is_away(shard), what="it is known to be away")
    try:
        yield
    finally:
        postgres.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        wait_until(lambda: not house.store.placement.is_away(shard), what="it is known to be back")
