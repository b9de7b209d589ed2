"""Clearing: positions of processes that have ended with nothing left are removed, a while after."""

from experiments.storage.sharded_store import ShardedStore
from experiments.storage.sharded_store import beside

#: What such a process said may still be in the log; nobody reads it from its beginning so long after.
KEPT_MS = 7 * 86_400_000


def clear_positions(store: ShardedStore, *, now_ms: int) -> int:
    """Remove them from every shard; of how many processes. Where a shard is away, all of it is done later.

    That they have ended is known for ever: what is brought in their name again has been applied.
    """
    placement = store.placement
    if not store.has_shards() or any(map(placement.is_away, placement.names())):
        return 0
    writers = store.read(lambda session: session.spools.to_clear(before_ms=now_ms - KEPT_MS))
    if writers:
        for shard in placement.names():
            beside(placement.store(shard), lambda session: session.positions.remove(writers))
        beside(store, lambda session: session.spools.clear(writers))
    return len(writers)
