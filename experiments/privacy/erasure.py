"""Erasure: nothing is left of a visitor but what they added to counts, and a mark that keeps late events out.

The mark is a keyed hash of the stand-in, under a key of its own: it tells the installation whom not to store again, and
nobody who it is. It ends when no event or token from before the erasure can come any more. It is kept with the rows of
visitors, where what is applied late finds it, and with the experiments, where whoever takes events does.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from experiments.audit import Change
from experiments.audit import Deed
from experiments.audit import tell
from experiments.batches import BATCH_OF_READERS
from experiments.batches import batched
from experiments.events import Terms
from experiments.events import checked_visitor
from experiments.failpoints import Failpoint
from experiments.failpoints import reached
from experiments.model import Experiment
from experiments.partitions import Span
from experiments.privacy.removals import Numbered
from experiments.privacy.removals import remove_visitors
from experiments.privacy.removals import wait_no_more
from experiments.signing import Keyring
from experiments.signing import disguised
from experiments.signing import pseudonym
from experiments.snapshot import all_experiments
from experiments.storage.parts import Part
from experiments.storage.session import Session
from experiments.storage.store import OwnStore
from experiments.tokens import expiry


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
    """Erase a visitor, known or not; repeated, it erases what has come since, and what a fault had left undone.

    :raises RejectedEvent: `invalid_visitor`, if the id is none.
    :raises StorageError: if the database that has the visitor cannot do it now.
    """
    stand_in = pseudonym(checked_visitor(visitor, "id"), key=keyring.visitors)
    [mark] = disguised([stand_in], key=keyring.tombstones)
    until_ms = remembering.until_ms(deed.now_ms)

    def work(session: Session) -> tuple[int, int]:
        session.tombstones.keep([(mark, until_ms)])
        # Read now that nobody exposes the visitor to a newer one.
        return erase_all(session, [stand_in], experiments=store.read(all_experiments))

    def then(session: Session) -> None:
        session.tombstones.keep([(mark, until_ms)])
        forget_all(session, [stand_in])
        # Whom it was, not even this log knows.
        tell(session, Change(None, "erase", "visitor"), deed=deed)

    exposures, events = store.part_of(stand_in).transact(work, then=then)
    reached(Failpoint.REMOVAL_COMMITTED)
    store.forget_exposures()
    return Erased(exposures, events, until_ms)


def erase_all(
    session: Session, stand_ins: Collection[bytes], *, experiments: Mapping[str, Experiment]
) -> tuple[int, int]:
    """Remove every row of some visitors; how many exposures and events those were."""
    events = session.events.of_visitors(stand_ins)
    numbers = {number for number, _ in events}
    exposures = 0
    for key, n in _concerned(session, stand_ins, events, experiments).items():
        wait_no_more(session, key, stand_ins, numbers)
        remove_visitors(session, experiments[key], stand_ins, events)
        exposures += n
    session.events.remove([event.key for _, event in events])
    reached(Failpoint.VISITORS_REMOVED)
    return exposures, len(events)


def _concerned(
    session: Session, stand_ins: Collection[bytes], events: Iterable[Numbered], experiments: Iterable[str]
) -> dict[str, int]:
    """The experiments that know of some visitors, each with how many of them were exposed in it."""
    named = {key for _, event in events for key in event.experiments}
    exposed = {key: len(session.exposures.of_visitors(key, stand_ins)) for key in experiments}
    return {key: n for key, n in exposed.items() if n or key in named}


def forget_all(session: Session, stand_ins: Collection[bytes]) -> None:
    """Forget what is known of erased visitors beside their rows, and have every server forget them."""
    # Who objects must be known to, or they would be counted again.
    session.opt_outs.remove_taken_back(stand_ins)
    session.meta.count_removal()


def erase_again(store: OwnStore, *, keyring: Keyring, deed: Deed) -> int:
    """Erase whoever was erased and is known again, since a database was brought back; how many those were.

    :raises StorageError: if a database that has visitors cannot do it now; done again, it goes on.
    """
    marks, experiments = store.read(lambda session: (session.tombstones.all(), all_experiments(session)))
    again = _Again(marks, experiments, keyring, deed)
    erased = sum(again.erase(part) for part in store.parts())
    store.forget_exposures()
    return erased


class _Again(NamedTuple):
    """Erases again whoever the marks are of."""

    marks: Sequence[tuple[bytes, int]]
    experiments: Mapping[str, Experiment]
    keyring: Keyring
    deed: Deed

    def erase(self, part: Part) -> int:
        """Erase those of a part; how many they were."""
        found = part.read(partial(self._found, part.span))
        for some in batched(found):
            part.transact(partial(self._erase, some), then=partial(self._tell, some))
        return len(found)

    def _found(self, span: Span, session: Session) -> list[bytes]:
        marks = {mark for mark, _ in self.marks}
        return find_erased(session, span, marks, experiments=self.experiments, keyring=self.keyring)

    def _erase(self, stand_ins: Collection[bytes], session: Session) -> None:
        session.tombstones.keep(self.marks)
        erase_all(session, stand_ins, experiments=self.experiments)

    def _tell(self, stand_ins: Collection[bytes], session: Session) -> None:
        forget_all(session, stand_ins)
        tell(session, Change(None, "erase again", "visitors", {"visitors": len(stand_ins)}), deed=self.deed)


def find_erased(
    session: Session,
    span: Span,
    marks: Collection[bytes],
    *,
    experiments: Iterable[str],
    keyring: Keyring,
) -> list[bytes]:
    """The visitors of a span on record whose marks are among these."""
    if not marks:
        return []
    found: dict[bytes, None] = {}
    for visitors in _on_record(session, span, experiments):
        disguises = disguised(visitors, key=keyring.tombstones)
        found |= {visitor: None for visitor, mark in zip(visitors, disguises, strict=True) if mark in marks}
    return list(found)


def _on_record(session: Session, span: Span, experiments: Iterable[str]) -> Iterator[list[bytes]]:
    """Everybody of whom there is an exposure or an event, some at a time, many of them again and again."""
    for key in experiments:
        rest = span
        while exposed := session.exposures.within(rest, key, limit=BATCH_OF_READERS):
            yield [visitor for visitor, _ in exposed]
            rest = rest.after(exposed[-1][0])
    rest, after = span, b""
    while events := session.events.within(rest, after=after, limit=BATCH_OF_READERS):
        yield [event.visitor for event in events]
        rest, after = rest._replace(low=events[-1].visitor), events[-1].id
