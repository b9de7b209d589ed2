"""Opt-outs: whoever objects gets the first mass arm from now on, and nothing more of theirs is stored or counted."""

from collections.abc import Iterable
from collections.abc import Sequence
from typing import NamedTuple

from experiments.events import Terms
from experiments.events import checked_visitor
from experiments.log.intake import Intake
from experiments.recording import Sender
from experiments.recording import record
from experiments.signing import Keyring
from experiments.signing import pseudonym
from experiments.signing import pseudonyms
from experiments.snapshot import Snapshots
from experiments.storage.opt_outs import OptOutRow
from experiments.storage.session import Session
from experiments.storage.store import Store

#: The outcome by which a guardrail may count who was exposed and objects later.
WITHDRAWAL_EVENT = "Opted Out"


class Standing(NamedTuple):
    """Whether a visitor objects, and since when; None where nothing was ever said."""

    opted_out: bool
    since_ms: int | None


def opt_out(
    store: Store,
    snapshots: Snapshots,
    visitors: Sequence[str],
    *,
    keyring: Keyring,
    now_ms: int,
    log: Intake | None = None,
) -> None:
    """Let visitors object.

    Metrics that name the event `Opted Out` hear it first of those who were exposed, by the log where there is one:
    counts of before stay.

    :raises RejectedEvent: `invalid_visitor`, if one cannot be an id.
    """
    checked = [checked_visitor(visitor, "id") for visitor in visitors]
    _tell(store, snapshots, checked, keyring=keyring, now_ms=now_ms, log=log)
    _keep(store, snapshots, checked, is_out=True, keyring=keyring, now_ms=now_ms)


def opt_in(store: Store, snapshots: Snapshots, visitors: Sequence[str], *, keyring: Keyring, now_ms: int) -> None:
    """Let visitors take their objection back; what was not counted meanwhile stays so.

    :raises RejectedEvent: `invalid_visitor`, if one cannot be an id.
    """
    checked = [checked_visitor(visitor, "id") for visitor in visitors]
    _keep(store, snapshots, checked, is_out=False, keyring=keyring, now_ms=now_ms)


def standing(store: Store, visitor: str, *, keyring: Keyring) -> Standing:
    """Whether a visitor objects.

    :raises RejectedEvent: `invalid_visitor`, if it cannot be an id.
    """
    stand_in = pseudonym(checked_visitor(visitor, "id"), key=keyring.visitors)
    row = store.read(lambda session: session.opt_outs.get(stand_in))
    return Standing(False, None) if row is None else Standing(row.is_out, row.at_ms)


def _keep(
    store: Store, snapshots: Snapshots, visitors: Iterable[str], *, is_out: bool, keyring: Keyring, now_ms: int
) -> None:
    rows = [OptOutRow(stand_in, is_out, now_ms) for stand_in in pseudonyms(visitors, key=keyring.visitors)]

    def work(session: Session) -> None:
        # An objection that was never made cannot be taken back, and leaves no row.
        known = [row for row in rows if is_out or session.opt_outs.get(row.visitor)]
        session.opt_outs.keep(known, version=session.meta.next_opt_outs_version())

    store.transact(work)
    snapshots.refresh()


def _tell(
    store: Store,
    snapshots: Snapshots,
    visitors: Iterable[str],
    *,
    keyring: Keyring,
    now_ms: int,
    log: Intake | None,
) -> None:
    """Count the withdrawals of those who were exposed where a metric asks for them."""
    heard_by = [feed.entry.experiment.key for feed in snapshots.latest.feeds.get(WITHDRAWAL_EVENT, ())]
    if not heard_by:
        return
    exposed = [
        visitor for visitor in visitors if store.exposures_of(pseudonym(visitor, key=keyring.visitors), heard_by)
    ]
    record(
        store,
        snapshots,
        items=[_withdrawal(visitor) for visitor in exposed],
        sent_at=None,
        sender=Sender(trusted=True, received_ms=now_ms),
        terms=Terms("personalise", 0),
        keyring=keyring,
        fresh_id=bytes,
        log=log,
    )


def _withdrawal(visitor: str) -> dict[str, object]:
    # The same id each time: whoever objects again has withdrawn once.
    return {"type": "track", "userId": visitor, "event": WITHDRAWAL_EVENT, "messageId": WITHDRAWAL_EVENT}
