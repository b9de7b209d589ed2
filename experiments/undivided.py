"""Whether all visitors are in one database: what is asked of their rows there would miss those in other shards."""

from experiments.errors import DividedVisitors
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


def check_undivided(session: Session) -> None:
    """See that all visitors are here.

    :raises DividedVisitors: if they are not.
    """
    if shards := shards_elsewhere(session):
        raise DividedVisitors(f"visitors are in the shards {', '.join(shards)}: this is told of one database alone")
