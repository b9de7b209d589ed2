"""Several nodes on one PostgreSQL: they write at the same time, and what they leave is what one would leave."""

import sys
from collections import Counter
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random
from threading import Event
from typing import Any

import pytest
from psycopg.errors import DivisionByZero

from experiments.assigning import Order
from experiments.assigning import assign
from experiments.audit import Deed
from experiments.errors import StorageBusy
from experiments.errors import StorageError
from experiments.evaluation import Asking
from experiments.lifecycle import act
from experiments.signing import pseudonym
from experiments.storage.location import Server
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from experiments.verification import verify
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny
from tests.experiments.house import HOUR
from tests.experiments.house import SECRETS
from tests.experiments.house import START
from tests.experiments.house import House
from tests.postgres import Databases
from tests.service.processes import wait_until

_NODES = 3


@pytest.fixture
def server(postgres: Databases) -> Server:
    """A database as `bespoke init` leaves it."""
    return postgres.fresh()


@pytest.fixture
def nodes(server: Server) -> Iterator[list[House]]:
    """Nodes that serve it, of an installation whose experiment runs."""
    stores = [open_store(server, fingerprint=SECRETS.fingerprint, serving=True) for _ in range(_NODES)]
    houses = [House(store) for store in stores]
    houses[0].start(tiny())
    for house in houses:
        house.snapshots.refresh()
    yield houses
    for store in stores:
        store.close()


def test_events_of_the_same_visitors_through_all_nodes_at_once_count_once(nodes: list[House]) -> None:
    rng, visitors = Random(7), [f"visitor-{number}" for number in range(8)]
    items = [nodes[0].exposure("tiny", visitor, id=f"seen-{visitor}") for visitor in visitors]
    items += [nodes[0].event(visitor, "Signed Up", id=f"{visitor}-{n}") for visitor in visitors for n in range(20)]
    sent = [(node, rng.sample(items, 10)) for node in nodes for _ in range(30)]
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda each: each[0].record(*each[1]), sent))
    accepted = Counter(
        item["messageId"]
        for (_, batch), receipts in zip(sent, answers, strict=True)
        for item, receipt in zip(batch, receipts, strict=True)
        if receipt.status == "accepted"
    )
    assert accepted == {item["messageId"]: 1 for _, batch in sent for item in batch}
    assert {receipt.status for receipts in answers for receipt in receipts} == {"accepted", "duplicate"}
    for node in nodes:
        assert verify(node.store) == []
        assert node.total("tiny", "$exposures") == (len(visitors), len(visitors))
        assert node.total("tiny", "signup") == (len(visitors), len(visitors))
    assert len(_lanes(nodes[0].store)) > 1


def _lanes(store: Store) -> list[int]:
    rows = store.read(lambda session: session.connection.execute("SELECT DISTINCT lane FROM cells_by_lane").fetchall())
    return [lane for (lane,) in rows]


class Holding:
    """A transaction of some visitors that stays open until it may end."""

    def __init__(self, node: House, *visitors: str) -> None:
        self._visitors = [pseudonym(visitor, key=SECRETS.visitors) for visitor in visitors]
        self.holds, self._may_end = Event(), Event()
        self._threads = ThreadPoolExecutor(1)
        self._done: Future[int] = self._threads.submit(node.store.transact_together, self._hold, 0)
        assert self.holds.wait(20), self._done.exception(0)

    def _hold(self, session: Session, items: object) -> list[int]:
        session.hold(self._visitors)
        # They are held once something is asked.
        session.meta.get("anything")
        self.holds.set()
        self._may_end.wait(20)
        return [1]

    def end(self) -> None:
        """Let it commit."""
        self._may_end.set()
        assert self._done.result() == 1
        self._threads.shutdown()


def test_who_writes_of_a_visitor_waits_for_whoever_does_and_for_nobody_else(nodes: list[House]) -> None:
    first, second, third = nodes
    holding = Holding(first, "ann", "bob")
    with ThreadPoolExecutor(1) as threads:
        same = threads.submit(second.record, second.exposure("tiny", "bob"))
        assert third.record(third.exposure("tiny", "cem"))[0].status == "accepted"
        assert not same.done()
        holding.end()
        assert same.result()[0].status == "accepted"


def test_the_configuration_changes_between_transactions_never_amid_one(nodes: list[House]) -> None:
    first, second, third = nodes
    holding = Holding(first, "ann")
    token = third.exposure("tiny", "bob")
    with ThreadPoolExecutor(2) as threads:
        pausing = threads.submit(act, second.store, "tiny", "pause", deed=Deed("test", START))
        wait_until(lambda: _waits_alone(third.store), what="it waits for all others to end")
        after = threads.submit(third.record, third.event("bob", "Signed Up", id="b"), token)
        assert not pausing.done() and not after.done()
        holding.end()
        pausing.result()
        assert [receipt.status for receipt in after.result()] == ["accepted", "accepted"]
    third.snapshots.refresh()
    assert third.evaluate("tiny", "dan").assignment.cause == "not_running"


def _waits_alone(store: Store) -> bool:
    question = "SELECT count(*) FROM pg_locks WHERE mode = 'ExclusiveLock' AND relation = 'writing'::regclass"
    return bool(store.read(lambda session: session.connection.execute(question).fetchone()) == (1,))


def test_locks_are_taken_in_one_order_so_that_nobody_waits_in_a_circle(nodes: list[House]) -> None:
    visitors = [f"visitor-{number}" for number in range(300)]
    forth, back = nodes[:2]
    with ThreadPoolExecutor(2) as threads:
        answers = [
            threads.submit(node.record, *(node.event(visitor, "Signed Up", id=f"{round}") for visitor in order))
            for round in range(8)
            for node, order in ((forth, visitors), (back, visitors[::-1]))
        ]
    statuses = Counter(receipt.status for answer in answers for receipt in answer.result())
    assert statuses == {"accepted": 8 * 300, "duplicate": 8 * 300}
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert forth.store.read(lambda session: session.connection.execute(deadlocks).fetchone()) == (0,)


def test_ten_nodes_that_start_at_once_take_each_step_once(postgres: Databases) -> None:
    server = postgres.empty()
    with ThreadPoolExecutor(10) as threads:
        taken = list(threads.map(lambda _: migrate_database(server, fingerprint="one"), range(10)))
    assert sorted(map(len, taken)) == [0] * 9 + [max(map(len, taken))]
    open_store(server, fingerprint="one", serving=True).close()


def test_a_database_at_which_a_newer_version_was_is_refused(server: Server) -> None:
    store = open_store(server, fingerprint=SECRETS.fingerprint)
    name = "INSERT INTO migrations (name) VALUES ('9999_future')"
    store.transact(lambda session: session.connection.execute(name))
    store.close()
    for ask in (open_store, migrate_database):
        with pytest.raises(StorageError, match="newer version, which knows 9999_future"):
            ask(server, fingerprint=SECRETS.fingerprint)


def test_a_database_that_does_not_take_every_text_is_refused(postgres: Databases) -> None:
    with pytest.raises(StorageError, match="is encoded in LATIN1, and must be in UTF8"):
        migrate_database(postgres.encoded("LATIN1"), fingerprint="one")


def test_without_its_client_it_is_said_how_to_get_that(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "experiments.storage.shared_store")
    monkeypatch.setitem(sys.modules, "psycopg_pool", None)
    for ask in (open_store, migrate_database):
        with pytest.raises(StorageError, match="needs the package psycopg_pool: pip install -e '.\\[postgres\\]'"):
            ask(server, fingerprint="one")


def test_a_list_that_exposes_holds_its_visitors_and_leaves_all_others(nodes: list[House]) -> None:
    first, second, third = nodes
    holding = Holding(first, "ann")

    def exposed(node: House, *visitors: str) -> list[str]:
        listed = [{"id": visitor} for visitor in visitors]
        order, asking = Order("tiny", exposes=True, call_id=b"call"), Asking(START, "personalise", 86_400)
        answers = assign(
            node.store, node.snapshots, order, visitors=listed, asking=asking, keyring=SECRETS
        )
        return [receipt.status for receipt in answers.receipts if receipt]

    with ThreadPoolExecutor(1) as threads:
        same = threads.submit(exposed, second, "ann", "bob")
        assert exposed(third, "cem", "dan") == ["accepted"] * 2
        assert not same.done()
        holding.end()
        assert same.result() == ["accepted"] * 2
    assert verify(first.store) == []


def test_what_one_node_changes_another_hears_of_at_once(nodes: list[House]) -> None:
    first, second, _ = nodes
    never = Event()
    second.store.await_changes(never, seconds=0.01)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(second.store.await_changes, never, seconds=20)
        act(first.store, "tiny", "pause", deed=Deed("test", START))
        waiting.result(10)
    assert second.snapshots.refresh().entries["tiny"].stored.state == "paused"


def _played(server: Server, *, partitions: int) -> tuple[dict[str, Any], list[str], int]:
    """What a history of many visitors leaves: the report, what verify finds, and how many lanes were written in."""
    store = open_store(server, fingerprint=SECRETS.fingerprint, serving=True, partitions=partitions)
    try:
        house, rng = House(store), Random(11)
        house.start(spring_mailing())
        visitors = [f"visitor-{number}" for number in range(300)]
        for round in range(12):
            house.now_ms += HOUR
            chosen = rng.sample(visitors, 60)
            items = [house.exposure("spring-mailing", visitor, womens=len(visitor) % 2 == 0) for visitor in chosen[:30]]
            items += [house.event(visitor, "Order Completed", revenue=rng.randrange(90)) for visitor in chosen[20:]]
            house.record(*items, *items[:5])
            if round % 4 == 3:
                house.reallocate("spring-mailing")
        return house.report("spring-mailing"), verify(store), len(_lanes(store))
    finally:
        store.close()


def test_the_same_history_over_one_and_over_eight_partitions_gives_the_same_report(postgres: Databases) -> None:
    over_one, over_eight = (_played(postgres.fresh(), partitions=number) for number in (1, 8))
    assert over_eight[:2] == over_one[:2]
    assert over_one[1] == []
    assert (over_one[2], over_eight[2]) == (1, 8)


def _end_all(store: Store, name: str) -> None:
    """End every connection to the database of a store but this one."""
    statement = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ? AND pid <> pg_backend_pid()"
    )
    store.read(lambda session: session.connection.execute(statement, (name,)).fetchall())


@pytest.fixture
def ending(postgres: Databases, server: Server) -> Iterator[Callable[[], None]]:
    """A function that ends every connection to the database."""
    other = open_store(postgres.fresh(), fingerprint=SECRETS.fingerprint)
    yield lambda: _end_all(other, postgres.name_of(server))
    other.close()


def test_who_has_lost_its_connections_opens_others_and_nobody_notices(
    nodes: list[House], ending: Callable[[], None]
) -> None:
    node = nodes[0]
    for number in range(3):
        ending()
        assert node.record(node.exposure("tiny", f"visitor-{number}"))[0].status == "accepted"
        ending()
        assert node.evaluate("tiny", "visitor-0").assignment.cause == "sticky"
        ending()
        node.reallocate("tiny")
    assert verify(node.store) == []


def test_a_transaction_that_is_cut_off_before_its_commit_is_begun_again(
    nodes: list[House], ending: Callable[[], None]
) -> None:
    times = 0

    def work(session: Session, items: object) -> list[str]:
        nonlocal times
        times += 1
        session.meta.set("times", str(times))
        if times == 1:
            ending()
        return [str(session.meta.get("times"))]

    assert nodes[0].store.transact_together(work, 0) == "2"


#: It runs when everything else of a transaction is done, and ends the first connection that it runs on.
_CUT_OFF = """
CREATE SEQUENCE commits;
CREATE FUNCTION cut_off() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('commits') = 1 THEN
        PERFORM pg_terminate_backend(pg_backend_pid());
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER cuts_off AFTER INSERT ON cells_by_lane DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION cut_off();
"""


def test_a_commit_that_is_not_answered_is_told_as_unknown_and_counts_once_when_it_is_sent_again(
    nodes: list[House]
) -> None:
    node = nodes[0]
    exposure = node.exposure("tiny", "ann")
    node.store.transact(lambda session: session.connection.execute(_CUT_OFF))
    with pytest.raises(StorageBusy, match="sent again, it counts once"):
        node.record(exposure)
    node.record(exposure)
    assert node.total("tiny", "$exposures") == (1, 1)
    assert verify(node.store) == []


def test_a_group_is_of_few_visitors_so_that_locks_are_left_for_other_nodes(nodes: list[House]) -> None:
    node = nodes[0]
    holding, sizes = Holding(node, "nobody"), []

    def counted(session: Session, items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        return list(items)

    with ThreadPoolExecutor(12) as threads:
        answers = [threads.submit(node.store.transact_together, counted, n, visitors=300) for n in range(12)]
        wait_until(lambda: sum(answer.running() for answer in answers) == 12, what="all of them ask")
        holding.end()
        assert [answer.result() for answer in answers] == list(range(12))
    assert max(sizes) == 2 and sum(sizes) == 12


def test_a_transaction_that_has_failed_is_never_told_to_be_kept(nodes: list[House]) -> None:
    store = nodes[0].store

    def work(session: Session) -> str:
        session.meta.set("half", "done")
        with suppress(DivisionByZero):
            session.connection.execute("SELECT 1 / 0")
        return "well"

    with pytest.raises(StorageError):
        store.transact(work)
    with pytest.raises(StorageError):
        store.transact_together(lambda session, items: [work(session) for _ in items], 0)
    assert store.read(lambda session: session.meta.get("half")) is None


def test_who_reads_for_long_is_not_cut_off_and_sees_one_state(nodes: list[House]) -> None:
    first, second, _ = nodes

    def twice(session: Session) -> tuple[str | None, str | None, str]:
        before = session.meta.get("name")
        second.store.transact(lambda other: other.meta.set("name", "another"))
        limit = session.connection.execute("SHOW idle_in_transaction_session_timeout").fetchone()[0]
        return before, session.meta.get("name"), str(limit)

    assert first.store.read(twice) == (None, None, "0")
    assert first.store.read(lambda session: session.meta.get("name")) == "another"


def test_a_transaction_that_is_left_alone_is_one_that_the_server_can_end(nodes: list[House]) -> None:
    first, second, _ = nodes

    def seen_by_others(session: Session, items: Sequence[int]) -> list[str]:
        [process] = session.connection.execute("SELECT pg_backend_pid()").fetchone()
        asked = "SELECT state FROM pg_stat_activity WHERE pid = ?"
        [state] = second.store.read(lambda other: other.connection.execute(asked, (process,)).fetchone())
        return [state for _ in items]

    # Amid a pipeline it would be active, whatever we do, and hold its locks for as long.
    assert first.store.transact_together(seen_by_others, 0) == "idle in transaction"


def test_who_writes_beside_others_knows_whether_a_row_was_changed(nodes: list[House]) -> None:
    def changed(session: Session, names: Sequence[str]) -> list[int]:
        change = "UPDATE meta SET value = value WHERE name = ?"
        return [session.connection.execute(change, (name,)).rowcount for name in names]

    nodes[0].store.transact(lambda session: session.meta.set("name", "there"))
    assert nodes[0].store.transact_together(changed, "nobody") == 0
    assert nodes[0].store.transact_together(changed, "name") == 1
