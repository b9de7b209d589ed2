"""A listener: hears from PostgreSQL that the configuration has changed, as soon as it has, and that it is there."""

import logging
from threading import Lock
from time import sleep

import psycopg

from experiments.storage.location import Server
from experiments.storage.postgres import SharedConnection
from experiments.storage.postgres import connect
from experiments.storage.session import Session

log = logging.getLogger(__name__)


class Listener:
    """One connection that does nothing else; where it is lost, whoever waits looks for changes now and then."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lock = Lock()
        self._connection: SharedConnection | None = None

    def wait(self, seconds: float) -> None:
        """Wait until something has changed, at most so long."""
        with self._lock:
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
                return sum(Session(self._listening()).meta.versions())
            except psycopg.Error:
                self._let_go()
            return sum(Session(self._listening()).meta.versions())

    def close(self) -> None:
        """Listen no more."""
        with self._lock:
            self._let_go()

    def _listening(self) -> SharedConnection:
        if self._connection is None:
            self._connection = connect(self._server)
            self._connection.execute("LISTEN bespoke_configuration")
        return self._connection

    def _let_go(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None
