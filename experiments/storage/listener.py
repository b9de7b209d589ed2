"""A listener: hears from PostgreSQL that the configuration has changed, as soon as it has, and that it is there."""

import logging
from threading import Lock
from time import monotonic
from time import sleep

import psycopg

from experiments.storage.location import Server
from experiments.storage.postgres import SharedConnection
from experiments.storage.postgres import connect
from experiments.storage.session import Session

#: Where nobody has waited for so long, changes are heard of by another way.
_UNHEARD_SECONDS = 5.0
#: A lock of two numbers, the first of which no lane and no visitor has.
_LEADING = 2

log = logging.getLogger(__name__)


class Listener:
    """One connection that does nothing else; where it is lost, whoever waits looks for changes now and then."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lock = Lock()
        self._connection: SharedConnection | None = None
        self._is_listening = self._is_leading = False
        self._waited = monotonic()

    def wait(self, seconds: float) -> None:
        """Wait until something has changed, at most so long."""
        with self._lock:
            self._waited = monotonic()
            try:
                for _ in self._listening().raw.notifies(timeout=seconds, stop_after=1):
                    return
            except psycopg.Error as error:
                log.info("changes are looked for, not heard of: %s", type(error).__name__, extra={"event": "not_heard"})
                self._let_go()
                sleep(seconds)

    def version(self) -> int:
        """A number that grows with every change, asked for on the same connection, or on another where it is lost.

        :raises psycopg.Error: if it cannot be had.
        """
        with self._lock:
            try:
                self._rest()
                return sum(Session(self._connected()).meta.versions())
            except psycopg.Error:
                self._let_go()
            return sum(Session(self._connected()).meta.versions())

    def leads(self) -> bool:
        """Whether this is the one of all listeners that tells others what it hears; until its connection ends."""
        with self._lock:
            try:
                self._is_leading = self._is_leading or self._is_first()
            except psycopg.Error:
                self._let_go()
            return self._is_leading

    def _is_first(self) -> bool:
        row = self._connected().execute("SELECT pg_try_advisory_lock(?, ?)", (_LEADING, _LEADING)).fetchone()
        return bool(row[0])

    def close(self) -> None:
        """Listen no more."""
        with self._lock:
            self._let_go()

    def _connected(self) -> SharedConnection:
        if self._connection is None:
            self._connection = connect(self._server)
        return self._connection

    def _listening(self) -> SharedConnection:
        connection = self._connected()
        if not self._is_listening:
            connection.execute("LISTEN bespoke_configuration")
            self._is_listening = True
        return connection

    def _rest(self) -> None:
        """Listen no more where nobody waits: of each change the server tells every connection that listens."""
        if self._is_listening and monotonic() - self._waited > _UNHEARD_SECONDS:
            self._connected().execute("UNLISTEN bespoke_configuration")
            self._is_listening = False

    def _let_go(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None
        self._is_listening = self._is_leading = False
