"""Leases: workers tell each other through a bucket of the log that they are there, and which partitions they hold.

Who holds what stands in the shards, and who is there in the control database: what is told changes nothing of that. It
says when to look there, at once instead of now and then, and whose leases need not be waited for. A worker is silent
where whoever listens hears itself on and on, and not it: all durations are the listener's own. It may be alive all the
same. So it is lost only where it has said nothing in the control database either; what it writes then the fence keeps
out; and once it is heard again, nobody who was mistaken takes it for lost any more.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from contextlib import suppress
from threading import Event
from threading import Thread
from time import monotonic
from typing import Annotated
from typing import NamedTuple

import msgspec

from experiments.errors import LogUnreachable
from experiments.storage.bucket import REMEMBERED_SECONDS
from experiments.storage.bucket import Bucket
from experiments.storage.bucket import Told
from experiments.storage.fences import Hold

#: After how long without a word a worker is silent: it has tried four times, and could find another node of the log.
SILENT_SECONDS = 2.0
_BEAT_SECONDS = 0.5
_ENDED = b""

#: By partition the epoch, both as a database can have them.
Epochs = dict[
    Annotated[int, msgspec.Meta(ge=0, le=(1 << 31) - 1)], Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
]
#: Workers that are not heard any more, and what they held.
Lost = Mapping[str, Epochs]


class _Heard(NamedTuple):
    """What those tell who are there, and what those have told who have fallen silent."""

    there: Mapping[str, bytes]
    silent: Mapping[str, Told]


class Leases(Thread):
    """What a worker tells of its own leases, and hears of those of others."""

    def __init__(self, bucket: Bucket, name: str) -> None:
        super().__init__(name="leases", daemon=True)
        self._bucket = bucket
        self._name = name
        self._held = msgspec.json.encode({})
        self._changed = Event()
        self._is_stopped = False
        self._seen: Mapping[str, bytes] = {}
        self._silent: Mapping[str, Told] = {}
        #: When they were heard last.
        self._given_up: dict[str, float] = {}

    def run(self) -> None:
        """Tell again and again, until stopped: so nobody misses it for long, whatever becomes of the bucket."""
        while not self._is_stopped:
            self._bucket.tell(self._name, self._held)
            self._changed.wait(_BEAT_SECONDS)
            self._changed.clear()

    def tell(self, holds: Iterable[Hold]) -> None:
        """Tell at once what this worker holds, where that is new."""
        held = msgspec.json.encode({hold.partition: hold.epoch for hold in holds})
        if held != self._held:
            self._held = held
            self._changed.set()

    def stop(self) -> None:
        """Tell that this worker has ended, and nothing more."""
        self._is_stopped = True
        self._changed.set()
        self.join()
        if self._bucket.is_reached():
            with suppress(LogUnreachable):
                self._bucket.put(self._name, _ENDED)

    def has_news(self) -> bool:
        """Whether anybody has told something new, or has fallen silent, since it was asked who has."""
        return self._listen().there != self._seen

    def silent(self) -> Lost:
        """Who has fallen silent, with what each held; but for those who were given up before, and heard again."""
        self._seen, self._silent = self._listen()
        return {
            name: _epochs(last.value) for name, last in self._silent.items()
            if self._given_up.get(name, last.at) == last.at
        }

    def give_up(self, names: Iterable[str]) -> None:
        """Take some of these for lost: each once, or one that is alive would lose what it holds again and again."""
        self._given_up |= {name: self._silent[name].at for name in names}

    def are_all(self, *, workers: int, partitions: int) -> bool:
        """Whether all workers are heard, and hold all partitions: then whatever there will be to do is heard of."""
        there = self._listen().there.values()
        return len(there) == workers and len({number for held in there for number in _epochs(held)}) == partitions

    def _listen(self) -> _Heard:
        """What is known by now; nothing where this worker does not hear itself."""
        told = {name: each for name, each in self._bucket.told().items() if _is_worker(name, each)}
        # Asked for only now: nobody was silent while nobody was heard.
        since, own = self._bucket.since, told.get(self._name)
        if own is None or monotonic() - own.at > SILENT_SECONDS:
            return _Heard({}, {})
        silent = {name: each for name, each in told.items() if own.at - max(each.at, since) >= SILENT_SECONDS}
        return _Heard({name: each.value for name, each in told.items() if name not in silent}, silent)


def _is_worker(name: str, told: Told) -> bool:
    """Whether an entry is that of a worker which has not ended, of which there is something to know."""
    return told.value != _ENDED and monotonic() - told.at < REMEMBERED_SECONDS and name.isprintable()


def _epochs(value: bytes) -> Epochs:
    """What a worker holds, as it has told; nothing where that cannot be read."""
    try:
        return msgspec.json.decode(value, type=Epochs)
    except msgspec.DecodeError:
        return {}
