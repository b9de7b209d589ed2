"""Fences: a partition has one holder, and whoever was its holder before keeps nothing."""

from collections.abc import Callable
from collections.abc import Iterator

import pytest

from experiments.storage.sharded_store import beside
from experiments.storage.shards import Hold
from experiments.storage.store import Store
from experiments.storage.store import open_store
from tests.experiments.house import SECRETS
from tests.postgres import Databases


@pytest.fixture
def shard(postgres: Databases) -> Iterator[Store]:
    """A database with a partition that nobody holds."""
    store = open_store(postgres.fresh(), fingerprint=SECRETS.fingerprint)
    beside(store, lambda session: session.fences.open(0))
    yield store
    store.close()


def taken(shard: Store, holder: str) -> Hold | None:
    """The partition, taken for longer than a test lasts."""
    return beside(shard, lambda session: session.fences.take(0, holder, seconds=600))


def end_the_lease(shard: Store) -> None:
    """Let as much time pass as a lease lasts."""
    beside(shard, lambda session: session.connection.execute("UPDATE fences SET until = now()"))


def test_what_somebody_holds_nobody_takes(shard: Store) -> None:
    assert taken(shard, "ann") is not None
    assert taken(shard, "bob") is None


@pytest.mark.parametrize("lose", [
    lambda shard: taken(shard, "bob"),
    lambda shard: beside(shard, lambda session: session.fences.close(0)),
    lambda shard: beside(shard, lambda session: session.fences.open(0)),
], ids=["taken", "closed", "opened again"])
def test_who_has_lost_a_partition_is_told_so_amid_a_transaction(
    shard: Store, lose: Callable[[Store], object]
) -> None:
    held = taken(shard, "ann")
    assert held is not None
    assert beside(shard, lambda session: session.fences.keep(held, seconds=600))
    end_the_lease(shard)
    lose(shard)
    assert not beside(shard, lambda session: session.fences.keep(held, seconds=600))
