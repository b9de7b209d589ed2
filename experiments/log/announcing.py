"""Announcing: where there is a log, one process tells all others of a new configuration, and hands it on.

The database remains the truth: whoever hears of something asks it for the version, and believes what was handed on only
where it is of this very version. Whoever hears nothing listens to the database and looks, as where there is no log.
"""

from __future__ import annotations

import logging
from random import uniform
from threading import Event
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING

from experiments.errors import BespokeError
from experiments.log.picture import packed
from experiments.log.picture import take_picture
from experiments.log.picture import unpacked
from experiments.snapshot import Snapshots
from experiments.storage.session import Session
from experiments.storage.store import Store

if TYPE_CHECKING:
    from experiments.storage.bucket import Bucket
    from experiments.storage.listener import Listener

#: Its value is a picture, or nothing where that is too large: then everybody reads the database.
CONFIGURATION = "configuration"
#: Its value is the number of all changes so far, told again and again so that others know that somebody tells.
CHANGES = "changes"

_BEAT_SECONDS = 1.0
_LOOKING_SECONDS = 0.25
_MOST_BYTES = 900_000

log = logging.getLogger(__name__)


class Hearing:
    """What a process hears of changes."""

    def __init__(self, bucket: Bucket, snapshots: Snapshots) -> None:
        self._bucket = bucket
        self._snapshots = snapshots
        self._known: bytes | None = None

    def wait(self, stopped: Event) -> bool:
        """Wait until something may have changed; False at once where nothing is heard."""
        if not self._bucket.is_heard():
            return False
        if not stopped.is_set():
            self._bucket.wait(_BEAT_SECONDS)
        self._take()
        return True

    def _take(self) -> None:
        told = self._bucket.value(CONFIGURATION)
        if told and told is not self._known:
            self._known = told
            try:
                self._snapshots.hear(unpacked(told))
            except ValueError as error:
                log.info("what was handed on is not understood: %s", error, extra={"event": "not_understood"})


class Announcer(Thread):
    """Tells others, where nobody else does: the first of all listeners of the database, for as long as it lives."""

    def __init__(self, store: Store, bucket: Bucket, listener: Listener) -> None:
        super().__init__(name="announcer", daemon=True)
        self._store = store
        self._bucket = bucket
        self._listener = listener
        self._stopped = Event()
        self._told: tuple[int, int] | None = None
        self._beaten = 0.0

    def run(self) -> None:
        """Look again and again, whatever goes wrong, until stopped."""
        while not self._stopped.is_set():
            try:
                self._look()
            except BespokeError as error:
                self._begin_anew()
                log.info("changes are not told for now: %s", error, extra={"event": "not_told"})
            except Exception:
                self._begin_anew()
                log.exception("changes are not told for now", extra={"event": "not_told"})
        self._listener.close()

    def _look(self) -> None:
        if self._told is None and (self._bucket.is_heard() or not self._bucket.is_reached()):
            # Somebody else does, or nobody can.
            self._stopped.wait(_BEAT_SECONDS)
        elif self._listener.leads():
            self._tell()
            self._listener.wait(_LOOKING_SECONDS)
        else:
            self._begin_anew()

    def _begin_anew(self) -> None:
        """Let another one do it, and look later: not all at once."""
        self._told = None
        self._listener.close()
        self._stopped.wait(uniform(_BEAT_SECONDS, 2 * _BEAT_SECONDS))

    def _tell(self) -> None:
        """Hand on a configuration that is new, and say that all is told up to here."""
        versions, changed_ms = self._store.read(_state)
        if self._told is None or self._told != (versions, changed_ms):
            picture = packed(self._store.read(take_picture))
            self._bucket.put(CONFIGURATION, picture if len(picture) <= _MOST_BYTES else b"")
        elif monotonic() - self._beaten < _BEAT_SECONDS:
            return
        self._bucket.put(CHANGES, str(versions).encode())
        self._told, self._beaten = (versions, changed_ms), monotonic()

    def stop(self) -> None:
        """Tell nothing more; somebody else does soon."""
        self._stopped.set()
        self.join()


def _state(session: Session) -> tuple[int, int]:
    """The number of all changes, and what tells this configuration from all others."""
    return sum(session.meta.versions()), session.meta.config_changed_ms()
