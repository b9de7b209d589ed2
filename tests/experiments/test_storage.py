"""The store: one writer, committed before it is answered, and faults by their names."""

import os
from collections.abc import Callable
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from threading import Timer

import pytest
from pysqlite3 import dbapi2 as sqlite3

from experiments.errors import SecretMismatch
from experiments.errors import StorageBusy
from experiments.errors import StorageDamaged
from experiments.errors import StorageError
from experiments.errors import StorageFull
from experiments.errors import StorageLocked
from experiments.storage.embedded_store import SqliteStore
from experiments.storage.session import Session
from experiments.storage.sqlite import lock_for_serving
from experiments.storage.sqlite import split_statements
from experiments.storage.sqlite import steps
from experiments.storage.store import Store
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from tests.experiments.documents import tiny
from tests.experiments.house import House
from tests.service.processes import wait_until


def _set(name: str, value: str) -> Callable[[Session], None]:
    return lambda session: session.meta.set(name, value)


@pytest.mark.every_database
def test_writes_of_many_threads_are_all_kept(store: Store) -> None:
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda n: store.transact(_set(f"name-{n}", str(n))), range(300)))
    kept = store.read(lambda session: [session.meta.get(f"name-{n}") for n in range(300)])
    assert kept == [str(n) for n in range(300)]


@pytest.mark.every_database
def test_one_works_fault_undoes_that_work_alone(store: Store) -> None:
    def fail(session: Session) -> None:
        session.meta.set("half", "done")
        raise ValueError("no")

    with ThreadPoolExecutor(8) as threads:
        futures = [threads.submit(store.transact, fail if n == 3 else _set(f"n{n}", "x")) for n in range(8)]
        errors = [future.exception() for future in futures]
    assert [type(error).__name__ for error in errors if error] == ["ValueError"]
    assert store.read(lambda session: session.meta.get("half")) is None
    assert store.read(lambda session: session.meta.get("n4")) == "x"


def test_values_come_back_as_they_were_bound(store: Store) -> None:
    values = (b"", b"\0\xff" * 8, True, False, None, 0, -1, 1.5, "", "x")
    asked = f"SELECT {', '.join('?' * len(values))}, {', '.join('typeof(?)' for _ in values)}"
    found = store.transact(lambda session: session.connection.execute(asked, values * 2).fetchone())
    assert found[: len(values)] == values
    kinds = ["blob"] * 2 + ["integer"] * 2 + ["null"] + ["integer"] * 2 + ["real"] + ["text"] * 2
    assert list(found[len(values):]) == kinds


@pytest.mark.every_database
def test_those_who_ask_for_the_same_while_the_writer_is_busy_have_it_done_together(
    opened: Callable[[bool], Store]
) -> None:
    store, sizes, is_busy, may_go_on = opened(True), [], Event(), Event()

    def all_of_them(session: Session, items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        session.meta.set("sum", str(int(session.meta.get("sum") or 0) + sum(items)))
        if 13 in items:
            raise ValueError("unlucky")
        return [item * item for item in items]

    def hold_up(_: Session) -> None:
        is_busy.set()
        may_go_on.wait()

    try:
        with ThreadPoolExecutor(30) as threads:
            threads.submit(store.transact, hold_up)
            is_busy.wait()
            answers = [threads.submit(store.transact_together, all_of_them, item) for item in range(20)]
            wait_until(lambda: sum(answer.running() for answer in answers) == 20, what="all of them ask")
            may_go_on.set()
        assert {type(answer.exception()) for answer in answers} == {type(None), ValueError}
        assert [answer.result() for item, answer in enumerate(answers) if item != 13] == [
            item * item for item in range(20) if item != 13
        ]
        assert max(sizes) > 1
        assert store.read(lambda session: session.meta.get("sum")) == str(sum(range(20)) - 13)
    finally:
        store.close()


def test_many_who_ask_again_and_again_share_their_commits(opened: Callable[[bool], SqliteStore]) -> None:
    store = opened(True)

    def ask_again(asker: int) -> None:
        for number in range(25):
            store.transact(_set(f"name-{asker}-{number}", "x"))

    try:
        with ThreadPoolExecutor(16) as threads:
            list(threads.map(ask_again, range(16)))
        _, commits = store.pace().works.up_to()[-1]
        assert store.pace().works.total >= 16 * 25
        assert commits <= 16 * 25 / 4
    finally:
        store.close()


@pytest.mark.every_database
def test_what_one_process_changes_another_notices(opened: Callable[[bool], Store]) -> None:
    serving, beside = opened(True), opened(False)
    try:
        before = serving.changes()
        beside.transact(lambda session: session.meta.bump_config_version(now_ms=1))
        assert serving.changes() != before
    finally:
        beside.close()
        serving.close()


def test_a_second_server_on_the_same_file_is_refused(opened: Callable[[bool], Store]) -> None:
    first = opened(True)
    try:
        with pytest.raises(StorageLocked, match="served by another process"):
            opened(True)
    finally:
        first.close()
    opened(True).close()


def test_another_installations_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bespoke.db"
    migrate_database(path, fingerprint="one")
    with pytest.raises(SecretMismatch, match="another installation"):
        open_store(path, fingerprint="another")
    with pytest.raises(SecretMismatch):
        migrate_database(path, fingerprint="another")


def test_a_missing_database_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="bespoke init"):
        open_store(tmp_path / "none.db", fingerprint="one")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bespoke.db"
    path.write_bytes(os.urandom(8192))
    with pytest.raises(StorageDamaged, match="not a sound database"):
        migrate_database(path, fingerprint="one")


def test_a_foreign_lock_is_answered_with_busy_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.storage.sqlite.BUSY_SECONDS", 0.2)
    path = tmp_path / "bespoke.db"
    migrate_database(path, fingerprint="one")
    store = open_store(path, fingerprint="one", serving=True)
    # The same library: two of them in one process would not see each other's locks.
    foreign = sqlite3.connect(str(path), isolation_level=None)
    try:
        foreign.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageBusy, match="locked by another process"):
            store.transact(_set("name", "value"))
        foreign.execute("ROLLBACK")
        store.transact(_set("name", "value"))
        assert store.read(lambda session: session.meta.get("name")) == "value"
    finally:
        foreign.close()
        store.close()


def test_migrations_are_applied_once(tmp_path: Path) -> None:
    path = tmp_path / "bespoke.db"
    assert migrate_database(path, fingerprint="one") == [name for name, _ in steps()]
    assert migrate_database(path, fingerprint="one") == []


def test_the_database_of_the_version_before_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "bespoke.db"
    _made_by(path, versions=1).close()
    assert "0003_people" in migrate_database(path, fingerprint="one")
    store = open_store(path, fingerprint="one")
    assert store.read(lambda session: session.users.all()) == []
    store.close()


def test_exposures_counted_by_the_version_before_are_counted_on(tmp_path: Path) -> None:
    path = tmp_path / "bespoke.db"
    old = _made_by(path, versions=4)
    for visitor, exposures in ((b"ann", 3), (b"bob", 1)):
        old.execute("INSERT INTO exposures VALUES ('tiny', ?, 'everyone', 'everyone-else', 1, 5000, 7, 0)", (visitor,))
        old.execute("INSERT INTO totals VALUES ('tiny', ?, '$exposures', ?)", (visitor, exposures))
        old.execute("INSERT INTO totals VALUES ('tiny', ?, 'signup', 2)", (visitor,))
    old.close()
    migrate_database(path, fingerprint="one")
    store = open_store(path, fingerprint="one")
    assert {visitor: row.n for visitor, row in store.read(lambda session: session.exposures.all("tiny"))} == {
        b"ann": 3, b"bob": 1
    }
    assert store.read(lambda session: session.totals.all("tiny")) == {(b"ann", "signup"): 2, (b"bob", "signup"): 2}
    store.close()


def _made_by(path: Path, *, versions: int) -> sqlite3.Connection:
    """A database with the first so many steps taken."""
    connection = sqlite3.connect(str(path), isolation_level=None)
    connection.execute("CREATE TABLE migrations (name TEXT PRIMARY KEY, applied_at TEXT DEFAULT CURRENT_TIMESTAMP)")
    for name, statements in steps()[:versions]:
        for statement in split_statements(statements):
            connection.execute(statement)
        connection.execute("INSERT INTO migrations (name) VALUES (?)", (name,))
    return connection


def test_the_disk_is_synced_before_a_write_is_answered(store: Store) -> None:
    house = House(store)
    house.start(tiny())

    def pragma(name: str) -> object:
        return store.transact(lambda session: session.connection.execute(f"PRAGMA {name}").fetchone()[0])

    assert (pragma("journal_mode"), pragma("synchronous")) == ("wal", 2)


def test_a_full_disk_refuses_and_recovers(store: Store) -> None:
    def limit(pages: int) -> Callable[[Session], object]:
        return lambda session: session.connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()

    house = House(store)
    key = house.start(tiny())
    house.record(house.exposure(key, "ann"))
    store.transact(limit(1))
    with pytest.raises(StorageFull):
        for n in range(200):
            house.record(*(house.exposure(key, f"{n}-{index}") for index in range(100)))
    assert house.evaluate(key, "somebody").assignment.arm in ("nothing", "everyone")
    store.transact(limit(10**6))
    assert house.record(house.exposure(key, "bob"))[0].status == "accepted"


@pytest.fixture
def small_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of the database, which may have 256 kB."""
    monkeypatch.setattr("experiments.storage.sqlite.LARGEST_LOG", 1 << 18)
    return tmp_path / "bespoke.db-wal"


def test_a_log_that_grows_without_a_pause_is_taken_in_by_the_way(
    opened: Callable[[bool], Store], small_log: Path
) -> None:
    alone = opened(False)
    try:
        sizes = [_grown(alone, small_log, number) for number in range(60)]
        assert 1 << 17 < max(sizes) < 1 << 19
        assert alone.read(lambda session: session.meta.get("name-3")) == "x" * 50_000
    finally:
        alone.close()


def test_beside_a_server_it_is_the_server_that_takes_the_log_in(
    opened: Callable[[bool], Store], small_log: Path
) -> None:
    serving, beside = opened(True), opened(False)
    try:
        # Quicker than the server looks.
        assert max(_grown(beside, small_log, number) for number in range(10)) > 1 << 18
        wait_until(lambda: small_log.stat().st_size < 1 << 18, what="the idle server takes the log in")
        assert serving.read(lambda session: session.meta.get("name-3")) == "x" * 50_000
    finally:
        beside.close()
        serving.close()


def _grown(store: Store, log: Path, number: int) -> int:
    """The size of the log after a large value was kept."""
    store.transact(_set(f"name-{number}", "x" * 50_000))
    return log.stat().st_size


def test_a_server_waits_for_a_command_that_takes_a_log_in(
    opened: Callable[[bool], Store], tmp_path: Path
) -> None:
    holder = lock_for_serving(tmp_path / "bespoke.db")
    Timer(0.3, holder.close).start()
    opened(True).close()
