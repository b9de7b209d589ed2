"""The doctor beyond one database: the shards, who applies, the spools that are waited for, and the log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from typing import cast

from experiments.errors import LogUnreachable
from experiments.log.ranges import written
from experiments.log.spool_losses import is_away
from experiments.readings import LONGEST_LAG_MS
from experiments.storage.guarantees import Finding
from experiments.storage.guarantees import guarantees
from experiments.storage.spools import SpoolRow
from experiments.times import iso
from service.cluster.joining import connected_log
from service.cluster.state import shards_reached
from service.installation import Installation

if TYPE_CHECKING:
    from experiments.storage.sharded_store import ShardedStore

#: Two of three decide, so that one may be lost.
_FEWEST_NODES = 3


def examine_cluster(installation: Installation) -> Iterator[Finding]:
    """Everything that promises rest on where visitors are in shards; nothing where they are not."""
    if (reached := shards_reached(installation)) is None:
        return
    store = cast("ShardedStore", installation.store)
    for shard, is_reached in reached.items():
        yield from _shard(store, shard) if is_reached else [_away(shard)]
    yield from _spools(installation)
    yield _watermark(installation)
    if installation.config.log_addresses:
        yield _log(installation)
        yield _answer(installation.config.log_ack)
    else:
        yield Finding("note", "BESPOKE_LOG_URL = off", "the log is not looked at: name it here as for nodes")


def _away(shard: str) -> Finding:
    return Finding("fault", f"shard {shard}", "cannot be reached: what is for it waits, and reports are not complete")


def _shard(store: ShardedStore, shard: str) -> Iterator[Finding]:
    found, fences = store.placement.store(shard).read(
        lambda session: (list(guarantees(session.connection)), session.fences.all())
    )
    for kind, subject, why in found:
        yield Finding(kind, f"shard {shard}: {subject}", why)
    placed = {number for number in range(store.placement.partitions) if store.placement.shard_of(number) == shard}
    if closed := written(placed - {fence.partition for fence in fences}):
        why = f"a move was broken off, and their events wait: `bespoke shard move {closed}` to {shard} or on"
        yield Finding("fault", f"shard {shard}: partitions {closed} are closed", why)
    free = written(fence.partition for fence in fences if not fence.is_held)
    if free:
        yield Finding("fault", f"shard {shard}: nobody applies partitions {free}", "start a `bespoke worker`")
    elif fences:
        holders = len({fence.holder for fence in fences})
        yield Finding("ok", f"shard {shard}: {len(fences)} partitions", f"are applied by {holders} workers")


def _spools(installation: Installation) -> Iterator[Finding]:
    now_ms = installation.clock.now_ms()
    rows = installation.store.read(lambda session: session.spools.all())
    yield from (_lost(row) for row in rows if is_away(row, now_ms=now_ms))
    if here := [row for row in rows if not is_away(row, now_ms=now_ms)]:
        yield Finding("ok", f"spools = {len(here)}", f"{sum(row.entries for row in here)} entries wait to be applied")


def _lost(row: SpoolRow) -> Finding:
    why = f"{row.entries} entries in {row.place} hold reports back: start a node there, or `bespoke spool forget` it"
    return Finding("fault", f"spool {row.writer} is away since {iso(row.seen_ms)}", why)


def _watermark(installation: Installation) -> Finding:
    at_ms = installation.store.read(lambda session: session.watermarks.oldest_ms())
    assert at_ms is not None, "each partition has one"
    lag_ms = installation.clock.now_ms() - at_ms
    subject = f"watermark = {iso(at_ms)}"
    if lag_ms > LONGEST_LAG_MS:
        return Finding("fault", subject, "not all that came since is counted: nothing is decided, and weights stay")
    return Finding("ok", subject, "all that came before is counted")


def _log(installation: Installation) -> Finding:
    try:
        log = connected_log(installation)
    except LogUnreachable as error:
        return Finding("fault", "log", str(error))
    try:
        state = log.look()
    finally:
        log.close()
    subject = f"log: {state.following} of {state.nodes} nodes follow"
    if not state.takes:
        return Finding("fault", subject, "they are too few to take events: start the others")
    if state.following < state.nodes:
        return Finding("note", subject, "the loss of another one may end it: start those that are away")
    if state.nodes < _FEWEST_NODES:
        return Finding("note", subject, "the loss of one ends it, until it is back: three bear that")
    return Finding("ok", subject, "the loss of one is borne")


def _answer(acknowledged: str) -> Finding:
    subject = f"BESPOKE_LOG_ACK = {acknowledged}"
    if acknowledged == "local":
        return Finding("note", subject, "an event is answered when it is on one disk, and may be lost with that")
    return Finding("ok", subject, "an event is answered when it is on two disks and more")
