"""Patience: how long a body may be in coming, and what becomes of those that take longer.

A thread that waits for a body cannot be called back. So the connection that the body should come by is told to hear no
more: what was read of it ends there, and the thread goes on to the refusal.
"""

import os
import socket
import struct
import termios
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import suppress
from fcntl import ioctl
from stat import S_ISSOCK
from threading import Thread
from threading import get_ident
from time import monotonic
from time import sleep
from typing import Any

from service.errors import Refused

_LOOK_SECONDS = 0.5
#: A body may have begun to come that much before somebody waited for it; none is to end before its time.
_GRACE_SECONDS = 1.0
_OPEN_FILES = "/proc/self/fd"
_MAPPED = "::ffff:"
#: Where Linux tells, in its `tcp_info`, for how many ms nothing has been sent.
_LAST_SENT = slice(44, 48)


class Patience:
    """What waits for bodies, each at most so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: dict[int, tuple[float, str]] = {}

    def read(self, body: Any, size: int | None, *, since: float, address: str) -> bytes:
        """Bytes of a body that is waited for since then, from that address.

        :raises Refused: 408 if they took too long.
        """
        waiter = get_ident()
        self._waiting[waiter] = since, address
        try:
            data = bytes(body.read(size))
        finally:
            del self._waiting[waiter]
        if monotonic() - since > self._seconds:
            raise Refused(408, "body_late", f"the body has not come whole within {self._seconds:g} s")
        return data

    def given_up(self) -> set[str]:
        """The addresses of those who have had their time."""
        until = monotonic() - self._seconds
        return {address.removeprefix(_MAPPED) for since, address in list(self._waiting.values()) if since < until}

    def keep_at(self, port: int) -> None:
        """Look again and again for those who are late with what they send to this port."""
        if os.path.isdir(_OPEN_FILES):
            Thread(target=self._keep, args=(port,), name="patience", daemon=True).start()

    def _keep(self, port: int) -> None:
        while True:
            sleep(_LOOK_SECONDS)
            # What cannot be looked at now, since too many files are open, can be in a moment.
            with suppress(OSError):
                hear_no_more(port, self.given_up(), seconds=self._seconds + _GRACE_SECONDS)


def hear_no_more(port: int, addresses: set[str], *, seconds: float) -> None:
    """Read nothing more by connections of these addresses that were sent nothing for so long and have read everything.

    By which of them a late body should come is not known here. Where a request from the same address is worked on for
    as long meanwhile, its connection ends as well: what it does is done, and its client asks again.
    """
    for connection in _connections(port) if addresses else ():
        if _peer(connection) in addresses and _is_silent(connection, seconds=seconds):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)


def _connections(port: int) -> Iterator[socket.socket]:
    """The connections to this port that this process has open, each for as long as it is looked at."""
    for name in os.listdir(_OPEN_FILES):
        with suppress(OSError), ExitStack() as borrowed:
            # By a number of its own: what is looked at may be closed meanwhile, and its number be another's.
            file = os.dup(int(name))
            borrowed.callback(os.close, file)
            if S_ISSOCK(os.fstat(file).st_mode):
                connection = borrowed.enter_context(socket.fromfd(file, socket.AF_INET, socket.SOCK_STREAM))
                if connection.getsockname()[1:2] == (port,):
                    yield connection


def _peer(connection: socket.socket) -> str:
    try:
        return str(connection.getpeername()[0]).removeprefix(_MAPPED)
    except OSError:
        return ""


def _is_silent(connection: socket.socket, *, seconds: float) -> bool:
    told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_SENT.stop)
    (silent_ms,) = struct.unpack("=I", told[_LAST_SENT])
    (unread,) = struct.unpack("i", ioctl(connection, termios.TIOCOUTQ, bytes(4)))
    return bool(silent_ms > seconds * 1000 and not unread)
