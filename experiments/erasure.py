"""Erasure: nothing is left of a visitor but what they added to counts, and a mark that keeps late events out.

The mark is a keyed hash of the stand-in, under a key of its own: it tells the installation whom not to store again, and
nobody who it is. It ends when no event or token from before the erasure can come any more.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from typing import NamedTuple

from experiments.audit import Change
from experiments.audit import Deed
from experiments.audit import configure
from experiments.batches import BATCH_OF_READERS
from experiments.events import Terms
from experiments.events import checked_visitor
from experiments.failpoints import Failpoint
from experiments.failpoints import reached
from experiments.removals import Numbered
from experiments.removals import remove_visitors
from experiments.removals import wait_no_more
from experiments.signing import Keyring
from experiments.signing import disguised
from experiments.signing import pseudonym
from experiments.storage.session import Session
from experiments.storage.store import OwnStore
from experiments.tokens import expiry
from experiments.undivided import check_undivided


class Erased(NamedTuple):
    """How many rows of a visitor are gone, and until when nothing of the visitor is stored."""

    exposures: int
    events: int
    until_ms: int


class Remembering(NamedTuple):
    """What an erasure must outlast: events as late as the terms let them be, tokens, and backups."""

    terms: Terms
    token_seconds: int
    backup_seconds: int

    def until_ms(self, now_ms: int) -> int:
        """When nothing from before now can come any more."""
        longest_seconds = max(self.terms.horizon_seconds, self.backup_seconds)
        return max(now_ms + longest_seconds * 1000, expiry(now_ms, lifetime_seconds=self.token_seconds))


def erase(store: OwnStore, visitor: object, *, keyring: Keyring, remembering: Remembering, deed: Deed) -> Erased:
    """Erase a visitor, known or not, in one transaction; repeated, it erases what has come since.

    :raises RejectedEvent: `invalid_visitor`, if the id is none.
    :raises DividedVisitors: if visitors are in several databases.
    """
    stand_in = pseudonym(checked_visitor(visitor, "id"), key=keyring.visitors)
    [mark] = disguised([stand_in], key=keyring.tombstones)
    until_ms = remembering.until_ms(deed.now_ms)

    def work(session: Session) -> Change[Erased]:
        check_undivided(session)
        session.tombstones.keep([(mark, until_ms)])
        exposures, events = erase_all(session, [stand_in])
        # Whom it was, not even this log knows.
        return Change(Erased(exposures, events, until_ms), "erase", "visitor")

    erased = configure(store, work, deed=deed)
    reached(Failpoint.REMOVAL_COMMITTED)
    store.forget_exposures()
    return erased


def erase_all(session: Session, stand_ins: Collection[bytes]) -> tuple[int, int]:
    """Remove every row of some visitors; how many exposures and events those were."""
    events = session.events.of_visitors(stand_ins)
    numbers = {number for number, _ in events}
    exposures = 0
    for experiment, n in _concerned(session, stand_ins, events).items():
        wait_no_more(session, experiment, stand_ins, numbers)
        remove_visitors(session, experiment, stand_ins, events)
        exposures += n
    session.events.remove([event.key for _, event in events])
    # Who objects must be known to, or they would be counted again.
    session.opt_outs.remove_taken_back(stand_ins)
    session.meta.count_removal()
    reached(Failpoint.VISITORS_REMOVED)
    return exposures, len(events)


def _concerned(session: Session, stand_ins: Collection[bytes], events: Iterable[Numbered]) -> dict[str, int]:
    """The experiments that know of some visitors, each with how many of them were exposed in it."""
    named = {key for _, event in events for key in event.experiments}
    exposed = {
        row.key: len(session.exposures.of_visitors(row.key, stand_ins)) for row in session.experiments.all()
    }
    return {key: n for key, n in exposed.items() if n or key in named}


def find_erased(session: Session, marks: Collection[bytes], *, keyring: Keyring) -> list[bytes]:
    """The visitors on record whose marks are among these."""
    if not marks:
        return []
    found: dict[bytes, None] = {}
    for visitors in _on_record(session):
        disguises = disguised(visitors, key=keyring.tombstones)
        found |= {visitor: None for visitor, mark in zip(visitors, disguises, strict=True) if mark in marks}
    return list(found)


def _on_record(session: Session) -> Iterator[list[bytes]]:
    """Everybody of whom there is an exposure or an event, some at a time, many of them again and again."""
    key, number = ("", b""), 0
    while exposed := session.exposures.keys(after=key, limit=BATCH_OF_READERS):
        yield [visitor for _, visitor in exposed]
        key = exposed[-1]
    while events := session.events.after(number, limit=BATCH_OF_READERS):
        yield [event.visitor for _, event in events]
        number = events[-1][0]
