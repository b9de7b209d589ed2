"""The schema of a PostgreSQL database: its steps, taken once by whichever node comes first."""

from typing import Any

import psycopg

from experiments.storage.scripts import scripts_in

Raw = psycopg.Connection[Any]

#: Nobody else's lock, and no visitor's: those are of one number.
_TURN = (2, 0)


def steps() -> tuple[tuple[str, str], ...]:
    """All steps, in order: name and SQL."""
    return scripts_in("migrations", "postgresql")


def migrate(raw: Raw) -> list[str]:
    """Bring the schema up to date, each step in one transaction with its record; the names of the steps taken.

    Whoever begins at the same time waits, and finds them taken.
    """
    raw.execute("SET lock_timeout = 0")
    raw.execute("SELECT pg_advisory_lock($1, $2)", _TURN)
    try:
        raw.execute(
            "CREATE TABLE IF NOT EXISTS migrations"
            " (name TEXT COLLATE \"C\" PRIMARY KEY, applied_at TIMESTAMPTZ NOT NULL DEFAULT now())"
        )
        missing = pending(raw)
        for name, statements in steps():
            if name in missing:
                _apply(raw, name, statements)
    finally:
        raw.execute("SELECT pg_advisory_unlock($1, $2)", _TURN)
    return missing


def _apply(raw: Raw, name: str, statements: str) -> None:
    with raw.transaction():
        raw.execute(statements)
        raw.execute("INSERT INTO migrations (name) VALUES ($1)", (name,))


def pending(raw: Raw) -> list[str]:
    """The steps that have not been taken."""
    applied = _applied(raw)
    return [name for name, _ in steps() if name not in applied]


def unknown(raw: Raw) -> list[str]:
    """The steps that a newer version has taken."""
    return sorted(_applied(raw) - {name for name, _ in steps()})


def _applied(raw: Raw) -> set[str]:
    if raw.execute("SELECT to_regclass('migrations') IS NOT NULL").fetchone() != (True,):
        return set()
    return {name for (name,) in raw.execute("SELECT name FROM migrations")}
