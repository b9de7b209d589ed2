"""Turns: few requests are worked on at once, and none of them is one whose body is still to come."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from queue import SimpleQueue
from time import monotonic
from typing import Any

from service.errors import Refused
from service.requests.patience import Patience

Application = Callable[..., Iterable[bytes]]

#: Where the environment of a small request holds the way to let another have its turn, for good.
LEAVE = "bespoke.leave"

#: Digits of the length of a body that is small: as many as there are threads may be held without a turn.
_SMALL = 4

#: Digits of the length of a body that is read whatever it is for, so that nearly all requests wait for a turn once.
_SHORT = 5


class Turns:
    """An application that works on so many requests at once; as many more as there are threads wait for bodies."""

    def __init__(self, application: Application, *, number: int, patience: Patience) -> None:
        self._application = application
        self._patience = patience
        # A queue and not a semaphore: it is as good, and takes a tenth of the time.
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(number):
            self._free.put(None)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request when its turn comes."""
        environ["wsgi.input"] = self._body(environ)
        self._free.get()
        turn = _Turn(self._free)
        if 0 < len(environ.get("CONTENT_LENGTH") or "") <= _SMALL:
            environ[LEAVE] = turn.leave
        try:
            return self._application(environ, start_response)
        finally:
            turn.leave()

    def _body(self, environ: dict[str, Any]) -> Any:
        """A short body, when it has come; a long one comes when somebody wants it, who has a turn to leave."""
        length = environ.get("CONTENT_LENGTH") or ""
        read = partial(self._patience.read, environ["wsgi.input"], address=environ.get("REMOTE_ADDR", ""))
        if not length.isdecimal() or len(length) > _SHORT:
            return _Body(read, self.left)
        try:
            return BytesIO(read(int(length), since=monotonic()))
        except Refused as refused:
            return _Late(refused)

    @contextmanager
    def left(self) -> Iterator[None]:
        """Let another have the turn meanwhile."""
        self._free.put(None)
        try:
            yield
        finally:
            self._free.get()


class _Turn:
    """A turn that somebody has."""

    __slots__ = ("_free", "_is_held")

    def __init__(self, free: SimpleQueue[None]) -> None:
        self._free = free
        self._is_held = True

    def leave(self) -> None:
        """Let another have it, if nobody has yet."""
        if self._is_held:
            self._is_held = False
            self._free.put(None)


class _Body:
    """A body that may be long in coming; its time runs while it is waited for, not while somebody waits for a turn."""

    def __init__(self, read: Callable[..., bytes], left: Callable[[], Any]) -> None:
        self._read = read
        self._left = left
        self._waited = 0.0

    def read(self, size: int | None = None) -> bytes:
        """Bytes of the body, when they have come."""
        with self._left():
            since = monotonic() - self._waited
            try:
                return self._read(size, since=since)
            finally:
                self._waited = monotonic() - since


class _Late:
    """A body that did not come in time: whoever wants it is told, and answers as they do."""

    def __init__(self, refused: Refused) -> None:
        self._refused = refused

    def read(self, size: int | None = None) -> bytes:
        """Never."""
        raise self._refused
