"""Bespoke as processes of their own: started, spoken with, told to end, and killed."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.client import HTTPException
from pathlib import Path
from typing import Any

from experiments.audit import Deed
from experiments.keys import create_key
from experiments.lifecycle import act
from experiments.lifecycle import apply_document
from experiments.verification import verify
from service.cluster.joining import shards_beside
from service.config import load_config
from service.installation import Installation
from service.installation import open_installation

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 30
#: On a machine that does much else.
_STARTING_SECONDS = 180


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def wait_until(holds: Callable[[], bool], *, what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Look until it holds; fail where it takes too long."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"not within {seconds} s: {what}"
        time.sleep(0.02)


class Installed:
    """An installation in a folder of its own, used by its command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "bespoke.db"
        kept = {name: text for name, text in os.environ.items() if not name.startswith("BESPOKE_")}
        self.settings = {"BESPOKE_DATABASE_URL": f"sqlite:///{self.database}"}
        self.environ = {**kept, "PYTHONPATH": str(REPOSITORY), **self.settings}

    def command(
        self, *arguments: str, stdin: str = "", patience_seconds: float = PATIENCE_SECONDS, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; `stdin` is what it reads there."""
        return subprocess.run(
            self._line(arguments),
            env={**self.environ, **settings},
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=patience_seconds,
            check=False,
        )

    def done(
        self, *arguments: str, stdin: str = "", patience_seconds: float = PATIENCE_SECONDS, **settings: str
    ) -> str:
        """What a command says that does what it is told."""
        finished = self.command(*arguments, stdin=stdin, patience_seconds=patience_seconds, **settings)
        assert finished.returncode == 0, finished.stderr
        return finished.stdout.strip()

    @contextmanager
    def opened(self) -> Iterator[Installation]:
        """The installation in this process, which is quicker than a command; nobody may be serving it."""
        installation = open_installation(load_config(self.settings), serving=True)
        try:
            yield installation
        finally:
            installation.close()

    @contextmanager
    def beside(self) -> Iterator[Installation]:
        """The installation as a command has it, while it is served."""
        installation = open_installation(load_config(self.settings))
        try:
            yield installation
        finally:
            installation.close()

    def key(self, scope: str, *, origins: tuple[str, ...] = ()) -> str:
        """A new key, made beside whoever serves."""
        with self.beside() as installation:
            deed, random = Deed("test", installation.clock.now_ms()), secrets.token_bytes
            return create_key(installation.store, scope=scope, name="", origins=origins, random=random, deed=deed)

    def check(self) -> None:
        """See that counters, ledger and audit log agree with the events, beside whoever serves."""
        with self.beside() as installation:
            assert verify(installation.store, shards_beside(installation)) == []

    def run_experiment(self, document: dict[str, Any]) -> None:
        """Write an experiment and start it."""
        with self.opened() as installation:
            deed = Deed("test", installation.clock.now_ms())
            apply_document(installation.store, document, deed=deed)
            act(installation.store, document["key"], "start", deed=deed)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command that goes on; what it logs is kept in `log`."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self._line(arguments), env=self.environ, cwd=self.folder, stderr=log, start_new_session=True
            )

    @property
    def log(self) -> Path:
        """What started commands have logged."""
        return self.folder / "log.txt"

    def _line(self, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "service.cli", *arguments]


class ServerProcess:
    """`bespoke serve` on a port of its own."""

    def __init__(self, installed: Installed, *arguments: str) -> None:
        self.installed = installed
        self.port = free_port()
        self._arguments = arguments
        self.start()

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.main = self.installed.start("serve", "--port", str(self.port), *self._arguments)
        wait_until(self.is_ready, what="the server answers", seconds=_STARTING_SECONDS)

    def is_ready(self) -> bool:
        """Whether it answers that it can do its work."""
        assert self.main.poll() is None, self.installed.log.read_text()
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except (OSError, HTTPException):
            return False

    def ask(
        self, method: str, path: str, body: object = None, *, key: str = "", under: str = ""
    ) -> tuple[int, Any]:
        """One request, perhaps under an idempotency key: the status and the JSON of its answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        headers |= {"Idempotency-Key": under} if under else {}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def workers(self) -> list[int]:
        """The processes that the main process has started."""
        text = Path(f"/proc/{self.main.pid}/task/{self.main.pid}/children").read_text()
        return [int(number) for number in text.split()]

    def resident_bytes(self) -> int:
        """The memory that its worker holds."""
        (worker,) = self.workers()
        return int(Path(f"/proc/{worker}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def kill_main(self) -> None:
        """Kill the main process alone, with -9; its worker must end by itself."""
        workers = self.workers()
        self.main.kill()
        self.main.wait()
        wait_until(lambda: not any(map(_lives, workers)), what="the orphaned worker ends")

    def kill_worker(self) -> None:
        """Kill the worker alone, with -9; the main process must start another."""
        killed = self.workers()
        for worker in killed:
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda: not set(killed) & set(self.workers()), what="the killed worker is gone")
        wait_until(self.is_ready, what="another worker answers")

    def kill_everything(self) -> None:
        """Kill every process, with -9."""
        workers = self.workers()
        for process in (self.main.pid, *workers):
            os.kill(process, signal.SIGKILL)
        self.main.wait()
        wait_until(lambda: not any(map(_lives, workers)), what="every process is gone")

    def end(self) -> int:
        """Tell it to end; its exit status."""
        if self.main.poll() is None:
            self.main.terminate()
        return self.main.wait(PATIENCE_SECONDS)


def _lives(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    # One that was killed stays as a zombie until somebody asks for it.
    return status.rpartition(")")[2].split()[0] != "Z"
