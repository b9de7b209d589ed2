"""Changing an installation behind everybody's back."""

from pysqlite3 import dbapi2 as sqlite3

from experiments.storage.connection import Connection

TRIGGERS = ("audit_is_not_changed", "audit_is_not_shortened", "ledger_is_not_changed", "ledger_is_not_shortened")


def tamper(connection: Connection, statement: str, *parameters: object) -> None:
    """Run a statement as somebody would who means to change a log: what keeps it append-only is taken away first."""
    if isinstance(connection, sqlite3.Connection):
        for trigger in TRIGGERS:
            connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
    else:
        for table in ("audit", "ledger"):
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        statement = statement.replace("UPDATE cells ", "UPDATE cells_by_lane ")
    connection.execute(statement, parameters)
