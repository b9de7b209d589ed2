"""Record events: each one accepted is on disk and counted once, now or when its exposure is known."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import NamedTuple

from experiments.admission import Admission
from experiments.admission import Lookups
from experiments.application import applied
from experiments.assignment import Plan
from experiments.errors import RejectedEvent
from experiments.errors import StorageError
from experiments.events import Countable
from experiments.events import SilentEvent
from experiments.events import Terms
from experiments.events import read_event
from experiments.failpoints import Failpoint
from experiments.failpoints import reached
from experiments.log.intake import Intake
from experiments.partitions import partition_of
from experiments.privacy.opted_out import OptedOut
from experiments.receipts import Receipt
from experiments.signing import Keyring
from experiments.signing import pseudonym
from experiments.snapshot import Snapshot
from experiments.snapshot import Snapshots
from experiments.storage.session import Session
from experiments.storage.store import Store


class Sender(NamedTuple):
    """Who posts, and when it arrived: `trusted` is a server key, `objects` a signal against being counted at all."""

    trusted: bool
    received_ms: int
    objects: bool = False


def record(
    store: Store,
    snapshots: Snapshots,
    *,
    items: Sequence[object],
    sent_at: object,
    sender: Sender,
    terms: Terms,
    keyring: Keyring,
    fresh_id: Callable[[], bytes],
    log: Intake | None = None,
) -> list[Receipt]:
    """Record the items of a batch, in the database or by the log where there is one; a receipt for each, in order."""
    if sender.objects:
        return [Receipt("ignored", "no_consent") for _ in items]
    read = [_read(item, sent_at=sent_at, sender=sender, terms=terms, fresh_id=fresh_id) for item in items]
    opted_out = snapshots.latest.opted_out
    heard = [_unless_opted_out(outcome, opted_out, keyring=keyring) for outcome in read] if opted_out.visitors else read
    receipts = {index: outcome for index, outcome in enumerate(heard) if isinstance(outcome, Receipt)}
    events = {index: outcome for index, outcome in enumerate(heard) if not isinstance(outcome, Receipt)}
    if log:
        receipts.update(log.take(events, trusted=sender.trusted))
        return [receipts[index] for index in range(len(items))]
    for partition, part in _parted(events, keyring=keyring, partitions=store.partitions):
        batch = Batch(list(part.values()), sender.trusted)
        applied: list[Receipt] = store.transact_together(
            Applying(snapshots, keyring), batch, visitors=len(part), partition=partition
        )
        reached(Failpoint.EVENTS_COMMITTED)
        receipts.update(zip(part, applied, strict=True))
    return [receipts[index] for index in range(len(items))]


def _unless_opted_out(outcome: Countable | Receipt, opted_out: OptedOut, *, keyring: Keyring) -> Countable | Receipt:
    """What nobody stores is told before the arm is looked at: so no arm loses more than another."""
    if isinstance(outcome, Receipt) or not opted_out.holds(outcome.visitor, keyring=keyring):
        return outcome
    return Receipt("ignored", "opted_out")


def _parted(
    events: dict[int, Countable], *, keyring: Keyring, partitions: int
) -> Iterable[tuple[int, dict[int, Countable]]]:
    """The events of each partition that has any, in order; a visitor's are all in one."""
    if partitions == 1:
        return [(0, events)] if events else []
    parts: dict[int, dict[int, Countable]] = {}
    for index, event in events.items():
        partition = partition_of(pseudonym(event.visitor, key=keyring.visitors), partitions)
        parts.setdefault(partition, {})[index] = event
    return parts.items()


def _read(
    item: object, *, sent_at: object, sender: Sender, terms: Terms, fresh_id: Callable[[], bytes]
) -> Countable | Receipt:
    try:
        event = read_event(
            item, received_ms=sender.received_ms, sent_at=sent_at, fresh_id=fresh_id, terms=terms
        )
    except RejectedEvent as error:
        return Receipt("rejected", error.code, str(error))
    return Receipt("ignored", event.code) if isinstance(event, SilentEvent) else event


def apply(
    session: Session, snapshots: Snapshots, *, events: Iterable[Countable], trusted: bool, keyring: Keyring
) -> list[Receipt]:
    """Apply events in one transaction: the only way in for every store and partition."""
    [receipts] = Applying(snapshots, keyring)(session, [Batch(list(events), trusted)])
    return receipts


def check_here(snapshot: Snapshot) -> Snapshot:
    """See that all visitors are in the database that is written to; whoever started before they were divided goes on.

    :raises StorageError: if they are not; nothing is kept.
    """
    if snapshot.is_divided:
        raise StorageError(
            "BESPOKE_LOG_URL: must be given to this node, since visitors are in several databases;"
            " sent again to another node, it counts once"
        )
    return snapshot


class Batch(NamedTuple):
    """Events of one sender, who is believed or not."""

    events: Sequence[Countable]
    trusted: bool


@dataclass(frozen=True)
class Applying:
    """Applies the batches of several senders in one transaction, as if one after another."""

    snapshots: Snapshots
    keyring: Keyring

    def __call__(self, session: Session, batches: Sequence[Batch]) -> list[list[Receipt]]:
        """The receipts of each batch, in order."""
        visitors = (event.visitor for batch in batches for event in batch.events)
        lookups = Lookups(partial(self._plan_in, session), session.tombstones.of)
        snapshot = check_here(self.snapshots.within(session))
        admission = Admission(snapshot, lookups, keyring=self.keyring, visitors=visitors)
        read = [
            [admission.admit(event, trusted=batch.trusted) for event in batch.events] for batch in batches
        ]
        receipts = iter(applied(session, [each for batch in read for each in batch]))
        return [list(islice(receipts, len(batch))) for batch in read]

    def _plan_in(self, session: Session, newest: Plan, epoch: int) -> Plan | None:
        return self.snapshots.epochs.plan(session, newest, epoch=epoch)
