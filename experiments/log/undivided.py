"""Whether all visitors are in one database, as they must be where events go through no log."""

from experiments.storage.session import Session
from experiments.storage.shards import THIS_SHARD


def shards_elsewhere(session: Session) -> list[str]:
    """The shards that have visitors and are other databases than this one."""
    if session.watermarks.oldest_ms() is None:
        return []
    here = session.meta.get(THIS_SHARD)
    return sorted({shard for shard in session.shards.partitions() if shard != here})


def is_divided(session: Session) -> bool:
    """Whether visitors are in other databases than this one, or on their way there."""
    if session.watermarks.oldest_ms() is None:
        return False
    return len(session.fences.applied()) < len(session.shards.partitions())
