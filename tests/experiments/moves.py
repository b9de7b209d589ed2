"""Moves of single partitions, by nobody in particular."""

from experiments.audit import Deed
from experiments.log.moving import move_partitions
from experiments.storage.sharded_store import ShardedStore

SOMEBODY = Deed("command line", 0)


def move_partition(store: ShardedStore, partition: int, target: str) -> None:
    """Move a partition to another shard."""
    move_partitions(store, [partition], target, deed=SOMEBODY)
