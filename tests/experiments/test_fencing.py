"""Fences: a partition has one holder, and whoever was its holder before keeps nothing."""

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import suppress

import psycopg
import pytest

from experiments.storage.location import Server
from experiments.storage.session import Session
from experiments.storage.postgres import connect
from experiments.storage.sharded_store import beside
from experiments.storage.fences import Hold
from experiments.storage.store import Store
from experiments.storage.store import open_store
from tests.experiments.house import SECRETS
from tests.postgres import Databases
from tests.service.processes import wait_until


@pytest.fixture
def server(postgres: Databases) -> Server:
    """A database as `bespoke init` leaves it."""
    return postgres.fresh()


@pytest.fixture
def shard(server: Server) -> Iterator[Store]:
    """A database with a partition that nobody holds."""
    store = open_store(server, fingerprint=SECRETS.fingerprint)
    beside(store, lambda session: session.fences.open(0))
    yield store
    store.close()


@pytest.fixture
def beside_it(server: Server) -> Iterator[Store]:
    """The same database, as another process has it."""
    store = open_store(server, fingerprint=SECRETS.fingerprint)
    yield store
    store.close()


def taken(shard: Store, holder: str) -> Hold | None:
    """The partition, taken for longer than a test lasts."""
    return beside(shard, lambda session: session.fences.take(0, holder, seconds=600))


def is_stopped(shard: Store) -> bool:
    """Whether somebody has sent statements, and not said that an answer is waited for."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
    [n] = shard.read(
        lambda session: session.connection.execute(f"{asked} AND wait_event = 'ClientRead'").fetchone()
    )
    return bool(n == 1)


def end_the_lease(shard: Store) -> None:
    """Let as much time pass as a lease lasts."""
    beside(shard, lambda session: session.connection.execute("UPDATE fences SET until = now()"))


def test_who_stopped_while_sending_is_ended(
    server: Server, shard: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert taken(shard, "ann") is not None
    end_the_lease(shard)
    stopped = connect(server)
    with suppress(psycopg.OperationalError), ExitStack() as sending:
        sending.enter_context(stopped.raw.pipeline())
        stopped.raw.execute("BEGIN")
        stopped.raw.execute("UPDATE fences SET holder = 'ann'")
        wait_until(lambda: is_stopped(shard), what="the server waits for more")
        assert taken(shard, "bob") is None
        monkeypatch.setattr("experiments.storage.stopped.STOPPED_SECONDS", 0)
        wait_until(lambda: taken(shard, "bob") is not None, what="its session is ended")
    stopped.close()


def test_what_somebody_holds_nobody_takes(shard: Store) -> None:
    assert taken(shard, "ann") is not None
    assert taken(shard, "bob") is None
    end_the_lease(shard)
    assert taken(shard, "bob") is not None


def test_who_stopped_amid_a_transaction_is_not_waited_for(shard: Store, beside_it: Store) -> None:
    held = taken(shard, "ann")
    assert held is not None

    def stopped(session: Session) -> Hold | None:
        # The lease is over before anybody else knows that it was held on.
        assert session.fences.keep(held, seconds=0)
        return taken(beside_it, "bob")

    assert beside(shard, stopped) is None
    assert taken(beside_it, "bob") is not None


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
