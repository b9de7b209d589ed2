"""The commands of shards, as somebody types them who has not read everything: what they do, and what they refuse."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from threading import Thread

import pytest

from experiments.audit import Selection
from experiments.audit import audit_of
from experiments.log import moving
from experiments.log.moving import move_partitions
from experiments.storage.location import Server
from experiments.storage.sharded_store import ShardedStore
from experiments.storage.sharded_store import beside
from service.cluster.joining import sharded_store
from service.config import load_config
from service.installation import Installation
from service.installation import open_installation
from tests.experiments.moves import SOMEBODY
from tests.experiments.moves import move_partition
from tests.postgres import Databases
from tests.service.conftest import Run
from tests.service.conftest import Said

_SECRET = "of all nodes" * 4


@pytest.fixture
def control(postgres: Databases, run: Run, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A control database, which the commands are told of."""
    control = postgres.empty()
    monkeypatch.setenv("BESPOKE_DATABASE_URL", control.url)
    monkeypatch.setenv("BESPOKE_SECRET", _SECRET)
    assert run("init").status == 0
    return control


@pytest.fixture
def second(postgres: Databases, control: Server, run: Run) -> Server:
    """A second shard, beside the first, which is the control database and has all partitions."""
    second = postgres.empty()
    assert run("shard", "add", "first", control.url, "--partitions", "8").status == 0
    assert run("shard", "add", "second", second.url).status == 0
    return second


@contextmanager
def installation_of(control: Server) -> Iterator[Installation]:
    """The installation of a control database, open."""
    installation = open_installation(load_config({"BESPOKE_DATABASE_URL": control.url, "BESPOKE_SECRET": _SECRET}))
    try:
        yield installation
    finally:
        installation.close()


@pytest.fixture
def opened(second: Server, control: Server) -> Iterator[ShardedStore]:
    """The same as another process has it open, which has not heard of what came later."""
    with installation_of(control) as installation:
        yield sharded_store(installation)


def listed(run: Run) -> list[str]:
    """How many partitions each shard has, and which."""
    return [line.partition("partitions")[0].split()[-1] + line.partition("partitions")[2] for line in lines(run)]


def lines(run: Run) -> list[str]:
    """What is listed of each shard."""
    return run("shard", "list").out.splitlines()


def test_many_partitions_are_moved_by_one_command(second: Server, run: Run) -> None:
    moved = run("shard", "move", "0-2,6", "second")
    assert moved.out.splitlines() == [f"partition {number}: is in second" for number in (0, 1, 2, 6)]
    assert listed(run) == ["4: 3-5,7", "4: 0-2,6"]


@pytest.mark.parametrize("partitions", ["3-1", "0-", "", "0,,1", "a", "7 8", "99999"])
def test_what_are_no_partitions_is_refused_with_the_rule(second: Server, run: Run, partitions: str) -> None:
    refused = run("shard", "move", partitions, "second")
    assert refused.status == 1 and "must be numbers and ranges" in refused.err
    assert listed(run) == ["8: 0-7", "0"]


def test_of_partitions_that_are_not_all_there_none_is_moved(second: Server, run: Run) -> None:
    refused = run("shard", "move", "6-8", "second")
    assert refused.status == 1 and "PARTITIONS: 8 must be from 0 to 7" in refused.err
    assert listed(run) == ["8: 0-7", "0"]


def test_a_shard_that_is_drained_is_taken_out_and_can_come_back_by_another_name(
    second: Server, control: Server, run: Run
) -> None:
    assert run("shard", "move", "0-7", "second").status == 0
    assert run("shard", "remove", "first").out == "first: is no shard any more\n"
    assert [line.split()[0] for line in lines(run)] == ["second"]
    assert run("shard", "add", "third", control.url).status == 0
    assert run("shard", "move", "5", "third").status == 0
    assert listed(run) == ["7: 0-4,6-7", "1: 5"]


def test_a_shard_is_given_another_address_of_its_database(second: Server, run: Run) -> None:
    there = f"{second.url}&application_name=bespoke"
    assert run("shard", "address", "second", there).out == f"second: is at {Server(there)}\n"
    assert run("shard", "move", "0-3", "second").status == 0
    assert listed(run) == ["4: 4-7", "4: 0-3"]


def test_no_shard_is_given_the_address_of_another_database(
    postgres: Databases, second: Server, control: Server, run: Run
) -> None:
    other = run("shard", "address", "second", control.url)
    assert other.status == 1 and "URL: it is shard 'first', must be the database of 'second'" in other.err
    unknown = run("shard", "address", "third", second.url)
    assert unknown.status == 1 and "NAME: 'third' is no shard" in unknown.err
    none = run("shard", "address", "second", postgres.fresh().url)
    assert none.status == 1
    assert listed(run) == ["8: 0-7", "0"]


def test_no_shard_is_given_the_address_of_an_older_state_of_it(
    postgres: Databases, second: Server, run: Run, opened: ShardedStore
) -> None:
    assert run("shard", "move", "2", "second").status == 0
    opened.placement.refresh()
    opened.placement.store("second").close()
    older = postgres.fresh(postgres.name_of(second))
    beside(opened, lambda session: session.watermarks.move(2, at_ms=0, applied=99))
    refused = run("shard", "address", "second", older.url)
    assert refused.status == 1 and "URL: it lacks what was applied to partitions 2" in refused.err


def test_what_is_done_with_shards_is_in_the_audit_log(second: Server, control: Server, run: Run) -> None:
    assert run("shard", "move", "0-7", "second").status == 0
    assert run("shard", "address", "second", second.url).status == 0
    assert run("shard", "remove", "first").status == 0
    with installation_of(control) as installation:
        rows = audit_of(installation.store, Selection(None, None, None, 20)).rows
    done = [(row["action"], row["subject"], row["details"].get("partition")) for row in reversed(rows)]
    moved = [("shard move", "second", number) for number in range(8)]
    added = [("shard add", name, None) for name in ("first", "second")]
    assert done[-12:] == [*added, *moved, ("shard address", "second", None), ("shard remove", "first", None)]
    assert "audit log is whole" in run("verify").out


def test_a_shard_that_has_visitors_is_not_taken_out(second: Server, run: Run, opened: ShardedStore) -> None:
    assert run("shard", "move", "3", "second").status == 0
    refused = run("shard", "remove", "second")
    assert refused.status == 1 and "NAME: 'second' has partitions 3: move them elsewhere first" in refused.err
    assert listed(run) == ["7: 0-2,4-7", "1: 3"]


def test_a_shard_that_still_has_what_was_moved_from_it_is_not_taken_out(
    second: Server, run: Run, opened: ShardedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("shard", "move", "3", "second").status == 0

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(moving, "_clear_elsewhere", killed)
        with pytest.raises(KeyboardInterrupt):
            move_partition(opened, 3, "first")
    refused = run("shard", "remove", "second")
    assert refused.status == 1 and "has partitions 3" in refused.err
    assert run("shard", "move", "3", "first").status == 0
    assert run("shard", "remove", "second").status == 0


def test_who_has_not_heard_of_a_move_moves_a_partition_from_where_it_is(
    second: Server, run: Run, opened: ShardedStore
) -> None:
    assert run("shard", "move", "3", "second").status == 0
    move_partition(opened, 3, "first")
    shards = map(opened.placement.store, ("first", "second"))
    assert [shard.read(lambda session: session.fences.has(3)) for shard in shards] == [True, False]
    assert listed(run) == ["8: 0-7", "0"]


def test_a_process_that_has_a_shard_open_lets_it_go_once_it_is_taken_out(
    second: Server, run: Run, opened: ShardedStore
) -> None:
    opened.changes()
    assert opened.placement.names() == ["first", "second"]
    assert run("shard", "remove", "second").status == 0
    opened.changes()
    assert opened.placement.names() == ["first"]


def test_a_database_is_not_marked_by_a_name_that_is_taken(postgres: Databases, second: Server, run: Run) -> None:
    third = postgres.empty()
    refused = run("shard", "add", "second", third.url)
    assert refused.status == 1 and "NAME: 'second' is taken" in refused.err
    assert run("shard", "add", "third", third.url).status == 0


@pytest.mark.parametrize("name", ["", "two words", "Second", "a" * 65, "ä"])
def test_a_shard_has_a_key_for_its_name(postgres: Databases, control: Server, run: Run, name: str) -> None:
    refused = run("shard", "add", name, control.url)
    assert refused.status == 1 and "must be 1 to 64 of the characters a-z 0-9 . _ -" in refused.err
    assert lines(run) == []


@pytest.mark.parametrize("address", [
    "mysql://bespoke:planted@127.0.0.1:1/bespoke",
    "host=127.0.0.1 port=1 password=planted",
    "sqlite:///planted.db",
    "postgresql://bespoke:planted%zz@127.0.0.1:1/bespoke",
    "postgresql://bespoke:pl@nted/planted@127.0.0.1:1/bespoke",
    "postgresql://bespoke:planted#planted@127.0.0.1:1/bespoke",
    "postgresql://bespoke:planted?planted@127.0.0.1:1/bespoke",
    "postgresql://bespoke@127.0.0.1:1/bespoke?password=planted@planted",
])
def test_no_address_that_is_refused_shows_its_password(control: Server, run: Run, address: str) -> None:
    refused: Said = run("shard", "add", "first", address)
    assert refused.status == 1 and "planted" not in refused.err and "nted" not in refused.err


def test_of_two_who_move_at_the_same_time_one_is_refused_and_nothing_is_lost(
    postgres: Databases, second: Server, run: Run, opened: ShardedStore
) -> None:
    assert run("shard", "add", "third", postgres.empty().url).status == 0
    opened.placement.refresh()
    has_begun, may_end = Event(), Event()

    def told(_: int) -> None:
        has_begun.set()
        may_end.wait(30)

    move = Thread(
        target=move_partitions, args=(opened, [0, 1], "third"), kwargs={"deed": SOMEBODY, "told": told}
    )
    move.start()
    assert has_begun.wait(30)
    refused = run("shard", "move", "0-3", "second")
    may_end.set()
    move.join()
    assert refused.status == 1 and "partitions are being moved by another process" in refused.err
    assert listed(run) == ["6: 2-7", "0", "2: 0-1"]
    assert run("shard", "move", "0-3", "second").status == 0
    assert listed(run) == ["4: 4-7", "4: 0-3", "0"]


def test_the_doctor_says_that_it_was_not_told_of_the_log(second: Server, run: Run) -> None:
    assert "note  BESPOKE_LOG_URL = off: the log is not looked at" in run("doctor").out


def test_a_partition_that_cannot_be_moved_stays_open_where_it_is(
    postgres: Databases, second: Server, run: Run, opened: ShardedStore
) -> None:
    postgres.run(f"ALTER DATABASE {postgres.name_of(second)} ALLOW_CONNECTIONS false")
    postgres.run(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{postgres.name_of(second)}'"
    )
    assert run("shard", "move", "3", "second").status == 1
    assert listed(run) == ["8: 0-7", "0"]
    open_ones = opened.placement.store("first").read(lambda session: session.fences.all())
    assert [fence.partition for fence in open_ones] == list(range(8))


def test_the_doctor_finds_what_a_broken_move_has_closed_and_says_how_to_open_it(
    second: Server, run: Run, opened: ShardedStore
) -> None:
    beside(opened.placement.store("first"), lambda session: session.fences.close(3))
    assert "fault shard first: partitions 3 are closed: a move was broken off" in run("doctor").out
    assert run("shard", "move", "3", "first").status == 0
    assert "are closed" not in run("doctor").out
