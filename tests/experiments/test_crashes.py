"""A process killed before any statement of a work leaves all of it or nothing, and the work can be done again."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from secrets import token_bytes

import pytest
from pysqlite3 import dbapi2 as sqlite3

from experiments.backups import restore
from experiments.errors import InvalidBackup
from experiments.reallocation import reallocate_due
from experiments.storage.copies import make_copy
from experiments.storage.copies import vacuum
from experiments.storage.soundness import check_soundness
from experiments.storage.sqlite import split_statements
from experiments.storage.sqlite import steps
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from experiments.verification import verify
from tests.experiments.crashes import KEY
from tests.experiments.crashes import SLOT_MS
from tests.experiments.crashes import backup_beside
from tests.experiments.crashes import crashed_copies
from tests.experiments.crashes import record
from tests.experiments.documents import tiny
from tests.experiments.house import SECRET
from tests.experiments.house import SECRETS
from tests.experiments.house import House
from tests.service.processes import Installed

_EAGER = {"kind": "thompson", "every": "1h", "burn_in": 0, "burn_in_conversions": 0, "max_step": 0.1}
_TWO = [{"key": "a", "role": "mass"}, {"key": "b", "role": "mass"}]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A closed database whose experiment has learned something, and where an outcome waits."""
    path = tmp_path / "bespoke.db"
    migrate_database(path, fingerprint=SECRETS.fingerprint)
    with_house(path, _learn)
    return path


def with_house(path: Path, work: Callable[[House], object]) -> None:
    """Do something with a database, and close it."""
    store = open_store(path, fingerprint=SECRETS.fingerprint, serving=True)
    try:
        house = House(store)
        house.snapshots.refresh()
        work(house)
    finally:
        store.close()


def _learn(house: House) -> None:
    key = house.start(tiny(arms=_TWO, policy=_EAGER))
    house.record(*(house.exposure(key, f"v{n}") for n in range(100)))
    arms = {f"v{n}": house.evaluate(key, f"v{n}").assignment.arm for n in range(100)}
    house.record(*(house.event(visitor, "Signed Up") for visitor, arm in arms.items() if arm == "b"))
    house.record(house.event("ann", "Signed Up", id="ann-waits"))


def crashed(work: str, database: Path) -> list[Path]:
    """What is left of the database at each statement."""
    folder = database.parent / "crashed"
    folder.mkdir()
    copies = crashed_copies(work, database, folder)
    assert len(copies) > 8
    return copies


def check_in_order(found: list[int], *, new: int) -> None:
    """Up to some statement nothing of the work is there, from the next on all of it."""
    assert found == [0] * found.count(0) + [new] * found.count(new)
    assert found[0] == 0 and found[-1] == new


def test_events_are_stored_and_counted_whole_or_not_at_all(database: Path) -> None:
    found: list[int] = []

    def look_and_repeat(house: House) -> None:
        before = house.total(KEY, "$exposures")[0]
        assert verify(house.store) == []
        record(house)
        assert house.total(KEY, "$exposures") == (102, 102)
        assert house.store.read(lambda session: session.waiting.counts(KEY, now_ms=house.now_ms)) == (1, 0)
        assert verify(house.store) == []
        found.append(before - 100)

    for path in crashed("record", database):
        with_house(path, look_and_repeat)
    check_in_order(found, new=2)


def test_a_slot_is_done_whole_or_not_at_all_and_once(database: Path) -> None:
    found: list[int] = []

    def look_and_resume(house: House) -> None:
        rows = house.store.read(lambda session: list(session.ledger.rows(KEY)))
        assert verify(house.store) == []
        assert len(reallocate_due(house.store, now_ms=SLOT_MS)) == 2 - len(rows)
        assert [row.epoch for row in house.store.read(lambda session: list(session.ledger.rows(KEY)))] == [1, 2]
        assert verify(house.store) == []
        found.append(len(rows) - 1)

    for path in crashed("reallocate", database):
        with_house(path, look_and_resume)
    check_in_order(found, new=1)


def test_a_deed_is_done_and_written_down_whole_or_not_at_all(database: Path) -> None:
    found: list[int] = []

    def look(house: House) -> None:
        def read(session: object) -> tuple[bool, bool, bool]:
            row, deed, entry = session.experiments.get(KEY), session.audit.last(), session.ledger.last(KEY)
            return row.state == "paused", deed.action == "experiment pause", entry.kind == "acted"

        paused = house.store.read(read)
        assert len(set(paused)) == 1
        assert verify(house.store) == []
        found.append(int(paused[0]))

    for path in crashed("pause", database):
        with_house(path, look)
    check_in_order(found, new=1)


def test_a_restore_leaves_the_old_database_or_the_new_one_whole_and_can_be_done_again(database: Path) -> None:
    make_copy(backup_beside(database), lambda draft: vacuum(database, draft))
    left_in_the_log(database)
    found: list[int] = []
    for path in crashed("restore", database):
        found.append(exposed(path))
        [*asides] = path.parent.glob(f"{path.name}.before-*Z")
        # The new one has its name once the old one is safe under another.
        assert found[-1] == 102 or [exposed(aside) for aside in asides] == [102]
        restore(backup_beside(path.parent), path, secrets=SECRET, random=token_bytes, now_ms=SLOT_MS)
        assert exposed(path) == 100
        assert not Path(f"{path}.restoring").exists()
    with pytest.raises(InvalidBackup, match="is there already"):
        restore(backup_beside(path.parent), path, secrets=SECRET, random=token_bytes, now_ms=SLOT_MS)
    assert exposed(path) == 100
    assert sorted(found, reverse=True) == found
    assert set(found) == {100, 102}


def left_in_the_log(database: Path) -> None:
    """Count two more visitors, and leave the files as a crash right after would."""
    store = open_store(database, fingerprint=SECRETS.fingerprint, serving=True)
    house = House(store)
    house.snapshots.refresh()
    record(house)
    whole = {path: path.read_bytes() for path in (database, Path(f"{database}-wal"))}
    store.close()
    for path, data in whole.items():
        path.write_bytes(data)


def exposed(path: Path) -> int:
    """How many visitors a database has, which must be sound and agree with its events."""
    check_soundness(path)
    found: list[int] = []

    def look(house: House) -> None:
        assert verify(house.store) == []
        found.append(house.total(KEY, "$exposures")[0])

    with_house(path, look)
    return found[0]


#: From the first released schema every later step is taken; the others begin further on, or with no file.
VERSIONS = [pytest.param(version, marks=[pytest.mark.long] * (version != 1)) for version in range(len(steps()) + 1)]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_migration_leaves_the_old_schema_or_the_new_one_and_no_row_is_lost(tmp_path: Path, version: int) -> None:
    old = tmp_path / "bespoke.db"
    made_by(old, version=version)
    schemas = [schema(made_by(tmp_path / f"version-{number}.db", version=number)) for number in range(len(steps()) + 1)]
    (tmp_path / "crashed").mkdir()
    reached: list[int] = []
    for path in crashed_copies("migrate", old, tmp_path / "crashed"):
        reached.append(schemas.index(schema(path)))
        migrate_database(path, fingerprint=SECRETS.fingerprint)
        assert schema(path) == schemas[-1]
        assert rows(path) == (2 if version else 0)
    assert reached == sorted(reached)
    assert (reached[0], reached[-1]) == (version, len(steps()))


def made_by(path: Path, *, version: int) -> Path:
    """The database of a version, which is how many steps it knew; two visitors were exposed, one of them twice."""
    connection = sqlite3.connect(str(path), isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE migrations (name TEXT PRIMARY KEY, applied_at TEXT DEFAULT CURRENT_TIMESTAMP)")
    for number, (name, statements) in enumerate(steps()[:version]):
        for statement in split_statements(statements):
            connection.execute(statement)
        connection.execute("INSERT INTO migrations (name) VALUES (?)", (name,))
        if number == 0:
            _expose(connection)
    connection.close()
    return path


def _expose(connection: sqlite3.Connection) -> None:
    for visitor, exposures in ((b"ann", 2), (b"bob", 1)):
        connection.execute("INSERT INTO exposures VALUES ('tiny', ?, 'a', 'everyone-else', 1, 5, 7, 0)", (visitor,))
        connection.execute("INSERT INTO totals VALUES ('tiny', ?, '$exposures', ?)", (visitor, exposures))


def schema(path: Path) -> list[str]:
    """Every table and index, and the steps that are said to be taken; only a sound file has any."""
    connection = sqlite3.connect(str(path))
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        tables = connection.execute("SELECT sql FROM sqlite_master WHERE sql NOT NULL ORDER BY name").fetchall()
        return [*tables, *connection.execute("SELECT name FROM migrations ORDER BY name").fetchall()]
    finally:
        connection.close()


def rows(path: Path) -> int:
    """How many visitors were exposed, who all have kept how often."""
    connection = sqlite3.connect(str(path))
    try:
        kept = dict(connection.execute("SELECT visitor, n FROM exposures"))
        assert kept in ({}, {b"ann": 2, b"bob": 1})
        return len(kept)
    finally:
        connection.close()


def test_ten_processes_that_start_at_once_on_an_old_file_bring_it_up_to_date_once(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    made_by(installed.database, version=1)
    starting = [
        subprocess.Popen(
            [sys.executable, "-m", "service.cli", "init"],
            env={**installed.environ, "BESPOKE_SECRET": "s" * 64},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(10)
    ]
    said = [process.communicate(timeout=60)[0] for process in starting]
    assert {process.returncode for process in starting} == {0}
    for name, _ in steps()[1:]:
        assert sum(name in line for line in said) == 1
    assert rows(installed.database) == 2
