"""Rows of people: who may log in, and who is."""

from typing import NamedTuple

from experiments.storage.connection import Connection


class UserRow(NamedTuple):
    """Somebody who may log in; `password_hash` is slow to compute, on purpose."""

    email: str
    role: str
    password_hash: str
    created_ms: int


class Users:
    """The people who may log in."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, row: UserRow) -> bool:
        """Keep a new user; False where the e-mail is taken."""
        cursor = self._connection.execute(
            "INSERT INTO users (email, role, password_hash, created_ms) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (email) DO NOTHING",
            row,
        )
        return bool(cursor.rowcount)

    def get(self, email: str) -> UserRow | None:
        """One user, or None."""
        row = self._connection.execute(
            "SELECT email, role, password_hash, created_ms FROM users WHERE email = ?", (email,)
        ).fetchone()
        return None if row is None else UserRow(*row)

    def all(self) -> list[UserRow]:
        """Every user, by e-mail."""
        rows = self._connection.execute("SELECT email, role, password_hash, created_ms FROM users ORDER BY email")
        return [UserRow(*row) for row in rows]

    def change_password(self, email: str, password_hash: str) -> bool:
        """Keep another hash; False where there is no such user."""
        cursor = self._connection.execute(
            "UPDATE users SET password_hash = ? WHERE email = ?", (password_hash, email)
        )
        return bool(cursor.rowcount)

    def change_role(self, email: str, role: str) -> None:
        """Keep another role."""
        self._connection.execute("UPDATE users SET role = ? WHERE email = ?", (role, email))

    def remove(self, email: str) -> bool:
        """Forget a user; False where there is none."""
        return bool(self._connection.execute("DELETE FROM users WHERE email = ?", (email,)).rowcount)


class SessionRow(NamedTuple):
    """Somebody logged in until `expires_ms`; `digest` is the SHA-256 of the session's id."""

    digest: bytes
    email: str
    created_ms: int
    seen_ms: int
    expires_ms: int


class Sessions:
    """The people who are logged in; never the ids of their sessions."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(self, row: SessionRow) -> None:
        """Keep a new session."""
        self._connection.execute(
            "INSERT INTO sessions (digest, email, created_ms, seen_ms, expires_ms) VALUES (?, ?, ?, ?, ?)", row
        )

    def get(self, digest: bytes) -> SessionRow | None:
        """One session, or None."""
        row = self._connection.execute(
            "SELECT digest, email, created_ms, seen_ms, expires_ms FROM sessions WHERE digest = ?", (digest,)
        ).fetchone()
        return None if row is None else SessionRow(bytes(row[0]), *row[1:])

    def mark_seen(self, digest: bytes, *, now_ms: int) -> None:
        """Remember when it was last used."""
        self._connection.execute("UPDATE sessions SET seen_ms = ? WHERE digest = ?", (now_ms, digest))

    def remove(self, digest: bytes) -> None:
        """End one session."""
        self._connection.execute("DELETE FROM sessions WHERE digest = ?", (digest,))

    def remove_of(self, email: str) -> None:
        """End every session of a user."""
        self._connection.execute("DELETE FROM sessions WHERE email = ?", (email,))

    def remove_expired(self, *, now_ms: int) -> None:
        """Forget the sessions that have ended."""
        self._connection.execute("DELETE FROM sessions WHERE expires_ms <= ?", (now_ms,))
