"""Rows that people change: experiments, keys, and what the installation knows of itself."""

from typing import Any
from typing import NamedTuple

import msgspec

from experiments.storage.connection import Connection


class Versions(NamedTuple):
    """Numbers that grow: with every change of experiments, allocations or keys, and with every change of opt-outs."""

    configuration: int
    opt_outs: int


class Meta:
    """Names and values of the installation."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> str | None:
        """The value of a name, or None."""
        row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set(self, name: str, value: str) -> None:
        """Keep a value under a name."""
        self._connection.execute(
            "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def forget(self, name: str) -> None:
        """Know a value no more."""
        self._connection.execute("DELETE FROM meta WHERE name = ?", (name,))

    def versions(self) -> Versions:
        """Of what people and jobs configure, and of the opt-outs."""
        row = self._connection.execute(
            "SELECT value, (SELECT value FROM meta WHERE name = 'opt_outs_version')"
            " FROM meta WHERE name = 'config_version'"
        ).fetchone()
        return Versions(int(row[0]), int(row[1] or 0))

    def config_version(self) -> int:
        """A number that grows with every change of experiments, allocations or keys."""
        return self.versions().configuration

    def config_changed_ms(self) -> int:
        """When the version last grew; a time that no other version has."""
        return int(self.get("config_changed_ms") or 0)

    def next_opt_outs_version(self) -> int:
        """Say that opt-outs change; the version of the change."""
        version = self.versions().opt_outs + 1
        self.set("opt_outs_version", str(version))
        return version

    def bump_config_version(self, *, now_ms: int) -> None:
        """Say that experiments, allocations or keys have changed."""
        self._connection.execute(
            "UPDATE meta SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) WHERE name = 'config_version'"
        )
        self.set("config_changed_ms", str(max(now_ms, self.config_changed_ms() + 1)))

    def removals(self) -> int:
        """A number that grows whenever exposures are removed."""
        return int(self.get("removals") or 0)

    def count_removal(self) -> None:
        """Say that exposures are removed: with a new version, every server forgets what it remembers of them."""
        self.set("removals", str(self.removals() + 1))

    def moved(self) -> str:
        """A text that no database has twice: another one whenever a partition has come into this one, or left it."""
        return self.get("moved") or ""

    def say_moved(self) -> None:
        """Say that one has; others may be saying so of another one."""
        self._connection.execute(
            "INSERT INTO meta (name, value) VALUES ('moved', gen_random_uuid()::text)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        )


class ExperimentRow(NamedTuple):
    """A stored experiment, its document as it was written."""

    key: str
    document: dict[str, Any]
    state: str
    created_ms: int
    started_ms: int | None
    stopped_ms: int | None


class Experiments:
    """The experiments and their states."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, key: str) -> ExperimentRow | None:
        """One experiment, or None."""
        row = self._connection.execute(
            "SELECT key, document, state, created_ms, started_ms, stopped_ms FROM experiments WHERE key = ?", (key,)
        ).fetchone()
        return None if row is None else _experiment(row)

    def all(self) -> list[ExperimentRow]:
        """Every experiment, by key."""
        rows = self._connection.execute(
            "SELECT key, document, state, created_ms, started_ms, stopped_ms FROM experiments ORDER BY key"
        )
        return [_experiment(row) for row in rows]

    def insert(self, key: str, document: dict[str, Any], *, now_ms: int) -> bool:
        """Keep a new draft; False where the key is taken."""
        cursor = self._connection.execute(
            "INSERT INTO experiments (key, document, state, created_ms) VALUES (?, ?, 'draft', ?)"
            " ON CONFLICT (key) DO NOTHING",
            (key, msgspec.json.encode(document).decode(), now_ms),
        )
        return bool(cursor.rowcount)

    def replace_document(self, key: str, document: dict[str, Any]) -> None:
        """Keep a new document of an experiment."""
        self._connection.execute(
            "UPDATE experiments SET document = ? WHERE key = ?", (msgspec.json.encode(document).decode(), key)
        )

    def change_state(self, key: str, *, old: str, new: str) -> bool:
        """Move from one state to another; False where it was in neither."""
        cursor = self._connection.execute(
            "UPDATE experiments SET state = ? WHERE key = ? AND state = ?", (new, key, old)
        )
        return bool(cursor.rowcount)

    def mark_started(self, key: str, *, now_ms: int) -> None:
        """Remember when it was first started."""
        self._connection.execute("UPDATE experiments SET started_ms = ? WHERE key = ?", (now_ms, key))

    def mark_stopped(self, key: str, *, now_ms: int) -> None:
        """Remember when it was stopped."""
        self._connection.execute("UPDATE experiments SET stopped_ms = ? WHERE key = ?", (now_ms, key))


def _experiment(row: tuple[Any, ...]) -> ExperimentRow:
    return ExperimentRow(row[0], msgspec.json.decode(row[1]), *row[2:])


class KeyRow(NamedTuple):
    """A key by its public prefix; `digest` is the SHA-256 of the whole key."""

    prefix: str
    digest: bytes
    scope: str
    name: str
    origins: tuple[str, ...]
    created_ms: int
    revoked_ms: int | None


class Keys:
    """The keys that requests carry; never the keys themselves."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, row: KeyRow) -> None:
        """Keep a new key."""
        self._connection.execute(
            "INSERT INTO keys (prefix, digest, scope, name, origins, created_ms) VALUES (?, ?, ?, ?, ?, ?)",
            (row.prefix, row.digest, row.scope, row.name, msgspec.json.encode(row.origins).decode(), row.created_ms),
        )

    def all(self) -> list[KeyRow]:
        """Every key, the oldest first, revoked ones too."""
        rows = self._connection.execute(
            "SELECT prefix, digest, scope, name, origins, created_ms, revoked_ms FROM keys ORDER BY created_ms, prefix"
        )
        return [_key(row) for row in rows]

    def get(self, prefix: str) -> KeyRow | None:
        """One key, or None."""
        row = self._connection.execute(
            "SELECT prefix, digest, scope, name, origins, created_ms, revoked_ms FROM keys WHERE prefix = ?", (prefix,)
        ).fetchone()
        return None if row is None else _key(row)

    def revoke(self, prefix: str, *, now_ms: int) -> bool:
        """End a key; False where there is none that is not ended."""
        cursor = self._connection.execute(
            "UPDATE keys SET revoked_ms = ? WHERE prefix = ? AND revoked_ms IS NULL", (now_ms, prefix)
        )
        return bool(cursor.rowcount)


def _key(row: tuple[Any, ...]) -> KeyRow:
    return KeyRow(row[0], bytes(row[1]), row[2], row[3], tuple(msgspec.json.decode(row[4])), row[5], row[6])
