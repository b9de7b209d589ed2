"""Moves of partitions that were broken off: they are finished, or undone, by moving again."""

from collections.abc import Iterator

import pytest

from experiments.log.sharding import add_shard
from experiments.storage.sharded_store import ShardedStore
from experiments.storage.sharded_store import beside
from experiments.storage.sharded_store import open_shards
from experiments.storage.shards import ShardRow
from experiments.storage.store import open_store
from tests.experiments.house import SECRETS
from tests.experiments.moves import SOMEBODY
from tests.experiments.moves import move_partition
from tests.postgres import Databases

_PARTITIONS = 2


@pytest.fixture
def sharded(postgres: Databases) -> Iterator[ShardedStore]:
    """A control database and two shards, of which the first has all partitions."""
    control = open_store(postgres.fresh(), fingerprint=SECRETS.fingerprint)
    for name in ("first", "second"):
        server = postgres.fresh()
        shard = open_store(server, fingerprint=SECRETS.fingerprint)
        row = ShardRow(name, server.url)
        add_shard(control, shard, row, partitions=_PARTITIONS, log="test", deed=SOMEBODY)
        shard.close()
    store = open_shards(control, fingerprint=SECRETS.fingerprint)
    yield store
    store.close()


def open_in(sharded: ShardedStore, shard: str) -> list[int]:
    """The partitions that somebody may take there."""
    fences = sharded.placement.store(shard).read(lambda session: session.fences.all())
    return [fence.partition for fence in fences]


@pytest.mark.parametrize(("target", "first", "second"), [("second", [0], [1]), ("first", [0, 1], [])])
def test_a_move_that_was_broken_off_is_finished_or_undone(
    sharded: ShardedStore, target: str, first: list[int], second: list[int]
) -> None:
    # Where a move that is killed leaves it: closed where it was, and not said to be elsewhere.
    beside(sharded.placement.store("first"), lambda session: session.fences.close(1))
    beside(sharded.placement.store("second"), lambda session: session.fences.open(1))
    move_partition(sharded, 1, target)
    assert (open_in(sharded, "first"), open_in(sharded, "second")) == (first, second)
    assert sharded.placement.shard_of(1) == target
