"""Losses of spools: one that is gone with its disk holds the watermark back until somebody accepts that."""

from experiments.audit import Change
from experiments.audit import Deed
from experiments.audit import perform
from experiments.errors import InvalidShard
from experiments.errors import shown
from experiments.storage.session import Session
from experiments.storage.spools import LostSpool
from experiments.storage.spools import SpoolRow
from experiments.storage.store import Store
from experiments.times import iso

#: Whoever has a spool tells of it twice a second, as long as the control database is there.
ALIVE_MS = 60_000


def is_away(row: SpoolRow, *, now_ms: int) -> bool:
    """Whether nobody tells of a spool any more."""
    return now_ms - row.seen_ms > ALIVE_MS


def forget_spool(store: Store, writer: str, *, deed: Deed) -> LostSpool:
    """Accept that what waits in a spool is lost, so that the watermark goes on; reports say so from then on.

    :raises InvalidShard: if there is no such spool, or somebody has it.
    """

    def forget(session: Session) -> Change[LostSpool]:
        row = _found(session, writer)
        if not is_away(row, now_ms=deed.now_ms):
            raise InvalidShard(
                f"SPOOL: {writer} was told of at {iso(row.seen_ms)} by {row.place}, and must be away for a minute:"
                " what waits there comes to be counted"
            )
        lost = LostSpool(writer, row.since_ms, deed.now_ms)
        session.spools.lose(lost)
        details = {"place": row.place, "since": iso(row.since_ms), "seen": iso(row.seen_ms), "entries": row.entries}
        return Change(lost, "spool forget", writer, details)

    return perform(store, forget, deed=deed)


def _found(session: Session, writer: str) -> SpoolRow:
    for row in session.spools.all():
        if row.writer == writer:
            return row
    raise InvalidShard(f"SPOOL: {shown(writer)} is none that is waited for; `bespoke spool list` lists them")
