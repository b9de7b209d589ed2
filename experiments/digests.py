"""Digests: when the next one is due, and who may send it."""

from typing import Literal
from typing import NamedTuple

from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.times import DAY_MS

Rhythm = Literal["daily", "weekly"]

_JOB = "digest"
#: At seven in the morning, UTC; weeks begin on Mondays, the first of which was the fifth day of 1970.
_HOUR_MS = 7 * 3_600_000
_MONDAY = 4


class DigestSlot(NamedTuple):
    """A day or a week for which one digest is sent."""

    rhythm: Rhythm
    number: int


def digest_slot(rhythm: Rhythm, *, now_ms: int) -> DigestSlot:
    """The newest slot that has come."""
    day = (now_ms - _HOUR_MS) // DAY_MS
    return DigestSlot(rhythm, day if rhythm == "daily" else (day - _MONDAY) // 7)


def claim_digest(store: Store, slot: DigestSlot, *, now_ms: int) -> bool:
    """Take a slot for oneself; False where somebody else has sent its digest, or is about to."""
    job = f"{_JOB} {slot.rhythm}"

    def is_taken(session: Session) -> bool:
        last = session.slots.last(job, "")
        return last is not None and last >= slot.number

    if store.read(is_taken):
        return False
    return store.transact(lambda session: session.slots.claim(job, "", slot.number, now_ms=now_ms))
