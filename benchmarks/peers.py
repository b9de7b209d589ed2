"""Peers: servers that others wrote, started for one run; one that is not to be had here does not end the run."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import AbstractContextManager
from contextlib import ExitStack
from contextlib import contextmanager
from contextlib import suppress
from http.client import HTTPConnection
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

from benchmarks.cores import SERVING
from benchmarks.cores import on_core

_PATIENCE_SECONDS = 60


class NotHere(Exception):
    """A peer that cannot be had on this machine, and why."""


class Peer(NamedTuple):
    """A peer by name; its port, or None and the reason why it is not here."""

    name: str
    port: int | None
    reason: str = ""

    @property
    def against(self) -> str:
        """How the table calls it."""
        return self.name if self.port else f"{self.name}: not available here ({self.reason})"


def joined(stack: ExitStack, name: str, serving: Callable[[], AbstractContextManager[int]]) -> Peer:
    """Start a peer for as long as the stack lives."""
    try:
        return Peer(name, stack.enter_context(serving()))
    except NotHere as error:
        return Peer(name, None, str(error))


@contextmanager
def process(
    line: Sequence[str], port: int, *, folder: Path, environ: Mapping[str, str] | None = None
) -> Iterator[None]:
    """A server on the serving core, from when it answers until the block is left; it logs into its folder."""
    with on_core(SERVING), (folder / "log.txt").open("wb") as log:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        started = subprocess.Popen(
            line, cwd=folder, env={**kept, **(environ or {})}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_until_it_answers(started, port, log=folder / "log.txt")
        yield
    finally:
        # The whole group: servers have workers. One that has not come up may be gone.
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGTERM)
        started.wait(_PATIENCE_SECONDS)


def _wait_until_it_answers(started: "subprocess.Popen[bytes]", port: int, *, log: Path) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while not answers(port):
        if started.poll() is not None or time.monotonic() > until:
            raise NotHere(f"it does not come up: {log.read_text()[-200:].strip()}")
        time.sleep(0.05)


def answers(port: int) -> bool:
    """Whether anybody answers there, whatever it says."""
    connection = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    return True
