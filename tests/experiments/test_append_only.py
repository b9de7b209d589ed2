"""The audit log and the ledger: rows are added, and the database itself lets nobody change or remove one."""

import pytest
from pysqlite3 import dbapi2 as sqlite3

from experiments.errors import StorageError
from experiments.storage.store import Store
from experiments.verification import verify
from tests.experiments.documents import tiny
from tests.experiments.house import House
from tests.experiments.tampering import TRIGGERS


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


CHANGES = [
    "UPDATE {table} SET body = 'another'",
    "UPDATE {table} SET hash = hash",
    "UPDATE {table} SET number = number + 1",
    "DELETE FROM {table}",
    "DELETE FROM {table} WHERE number = 1",
    "WITH one AS (SELECT 1) DELETE FROM {table} WHERE number IN (SELECT * FROM one)",
    "INSERT INTO {table} SELECT * FROM {table} WHERE true ON CONFLICT ({key}) DO UPDATE SET body = ''",
]


@pytest.mark.every_database
@pytest.mark.parametrize(
    ("table", "name", "key"),
    [("audit", "the audit log", "number"), ("ledger", "the ledger", "experiment, number")],
)
@pytest.mark.parametrize("change", CHANGES)
def test_no_statement_changes_or_removes_a_row(house: House, table: str, name: str, key: str, change: str) -> None:
    house.reallocate(house.start(tiny()))
    with pytest.raises(StorageError) as refused:
        house.store.transact(lambda session: session.connection.execute(change.format(table=table, key=key)))
    assert f"{name} is append-only" in str(refused.value)
    assert verify(house.store) == []


@pytest.mark.every_database
def test_rows_are_added_all_the_same(house: House) -> None:
    key = house.start(tiny())
    before = numbers(house.store)
    house.reallocate(key)
    assert numbers(house.store) == [number + 1 for number in before]


def numbers(store: Store) -> list[int]:
    """How many rows there are, in both."""
    return store.read(
        lambda session: [
            session.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("audit", "ledger")
        ]
    )


def test_any_other_program_is_refused_too(house: House) -> None:
    house.start(tiny())
    path = house.store.read(lambda session: session.connection.execute("PRAGMA database_list").fetchone()[2])
    with sqlite3.connect(path) as other:
        for table in ("audit", "ledger"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                other.execute(f"DELETE FROM {table}")
    assert verify(house.store) == []


def test_there_is_no_trigger_but_these(house: House) -> None:
    found = house.store.read(
        lambda session: session.connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    )
    assert sorted(name for (name,) in found) == sorted(TRIGGERS)
