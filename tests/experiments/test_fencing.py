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
from experiments.storage.fences import Lease
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
    holds = beside(shard, lambda session: session.fences.take([0], holder, most=1, seconds=600, lost=()))
    return holds[0] if holds else None


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


def test_as_many_are_taken_as_are_asked_for(shard: Store) -> None:
    for number in (1, 2):
        beside(shard, lambda session, number=number: session.fences.open(number))

    def some(holder: str) -> list[int]:
        holds = beside(shard, lambda session: session.fences.take([0, 1, 2], holder, most=2, seconds=600, lost=()))
        return sorted(hold.partition for hold in holds)

    assert (some("ann"), some("bob"), some("cat")) == ([0, 1], [2], [])


@pytest.mark.parametrize(("lost", "is_taken"), [
    (Lease(0, 2, "ann"), True), (Lease(0, 1, "ann"), False), (Lease(0, 2, "cat"), False), (Lease(1, 2, "ann"), False),
])
def test_a_lease_that_is_lost_is_not_waited_for_where_it_is_still_held_like_that(
    shard: Store, lost: Lease, is_taken: bool
) -> None:
    assert taken(shard, "bob") is not None
    end_the_lease(shard)
    held = taken(shard, "ann")
    assert held is not None
    assert held.epoch == 2
    holds = beside(shard, lambda session: session.fences.take([0], "bob", most=1, seconds=600, lost=[lost]))
    assert [hold.epoch for hold in holds] == ([3] if is_taken else [])
    assert beside(shard, lambda session: session.fences.keep(held, seconds=600)) is not is_taken


def test_what_is_held_on_nobody_takes_and_what_was_taken_is_told(shard: Store) -> None:
    first = taken(shard, "ann")
    assert first is not None
    end_the_lease(shard)
    assert beside(shard, lambda session: session.fences.hold_on([first], seconds=600)) == set()
    assert taken(shard, "bob") is None
    end_the_lease(shard)
    second = taken(shard, "bob")
    assert second is not None
    assert beside(shard, lambda session: session.fences.hold_on([first], seconds=0)) == {0}
    assert beside(shard, lambda session: session.fences.hold_on([second], seconds=600)) == set()
    assert taken(shard, "ann") is None


def test_what_was_left_is_not_held_on(shard: Store) -> None:
    held = taken(shard, "ann")
    assert held is not None
    beside(shard, lambda session: session.fences.leave(held))
    assert beside(shard, lambda session: session.fences.hold_on([held], seconds=600)) == set()
    assert taken(shard, "bob") is not None


def test_what_is_being_applied_to_is_not_waited_for_to_hold_on_the_others(shard: Store, beside_it: Store) -> None:
    beside(shard, lambda session: session.fences.open(1))
    holds = beside(shard, lambda session: session.fences.take([0, 1], "ann", most=2, seconds=0, lost=()))

    def hold_on(session: Session) -> set[int]:
        assert session.fences.keep(holds[0], seconds=0)
        return beside(beside_it, lambda session: session.fences.hold_on(holds, seconds=600))

    assert beside(shard, hold_on) == set()
    fences = shard.read(lambda session: session.fences.all())
    assert [fence.is_held for fence in fences] == [False, True]
