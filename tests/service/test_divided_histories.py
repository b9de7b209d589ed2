"""Histories of visitors in three databases: by the command line, what comes of them is what comes of one."""

import json
import sys
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from typing import NamedTuple

import numpy as np
import psycopg
import pytest

from experiments.counting import EXPOSURES
from experiments.history.cubes import all_terms
from experiments.history.export import export_history
from experiments.lifecycle import find
from experiments.log import moving
from experiments.partitions import partition_of
from experiments.signing import disguised
from experiments.storage.cubes import CubeRow
from experiments.storage.cubes import TABLES
from experiments.storage.history_folder import HistoryFolder
from experiments.storage.history_folder import engine_of
from experiments.storage.history_manifests import InvalidHistory
from experiments.storage.history_tables import read_rows
from experiments.storage.location import Server
from experiments.storage.store import open_store
from tests.experiments.divided import Divided
from tests.experiments.divided import divided_house
from tests.experiments.divided import stand_in
from tests.experiments.house import DAY
from tests.experiments.house import HOUR
from tests.experiments.house import House
from tests.experiments.house import SECRET
from tests.experiments.house import SECRETS
from tests.experiments.moves import move_partition
from tests.experiments.tampering import tamper
from tests.experiments.tastes import letters
from tests.experiments.tastes import send
from tests.logs import running_log
from tests.postgres import Databases
from tests.service.conftest import Run
from tests.service.conftest import Said
from tests.service.processes import wait_until
from tests.service.test_divided import away
from tests.service.test_divided import erased
from tests.service.test_divided import retained
from tests.service.test_divided import server_of

SHARDS = ("first", "second", "third")
PARTITIONS = 8
#: The part of each of them.
PARTS = {"first": "control", "second": "shard=second", "third": "shard=third"}

#: A command of an installation, by what it has.
Ask = Callable[..., Said]


@pytest.fixture(autouse=True)
def _noticed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has not heard of a move must notice by itself."""
    monkeypatch.setattr(moving, "_NOTICING_SECONDS", 0.0)


@pytest.fixture(scope="module")
def log() -> Iterator[str]:
    """A log of one server."""
    with running_log(nodes=1) as log:
        yield log.url


@pytest.fixture
def ask(run: Run, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Runs commands on the database of a server."""
    monkeypatch.setenv("BESPOKE_SECRET", SECRET.current.decode())

    def ask(server: Server, *arguments: str) -> Said:
        monkeypatch.setenv("BESPOKE_DATABASE_URL", server.url)
        return run(*arguments)

    return ask


class Both(NamedTuple):
    """One history, in one database and in three."""

    alone: House
    server: Server
    divided: Divided


def begin(house: House) -> None:
    """Visitors get one of two letters while they are in one database, and some of them are gone."""
    house.start(letters(policy={"kind": "fixed"}))
    house.record(*(house.event(f"early{number}", "Order Completed") for number in range(9)))
    send(house, "letters", visitors=1100, rng=np.random.default_rng(1))
    for number in range(0, 60, 10):
        erased(house, f"letters-{house.now_ms}-{number}")
    house.now_ms += DAY


def go_on(house: House) -> None:
    """Others come when they are in three, some of the first come again, and some are gone too."""
    send(house, "letters", visitors=1100, rng=np.random.default_rng(2))
    again = [f"letters-{house.now_ms - DAY}-{number}" for number in range(1, 60)]
    house.record(*(house.exposure("letters", visitor) for visitor in again))
    house.record(*(house.event(visitor, "Order Completed") for visitor in again[::4]))
    for visitor in again[::7]:
        erased(house, visitor)


@pytest.fixture(scope="module")
def both(postgres: Databases, log: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """The same history twice, which nobody changes."""
    server = postgres.fresh()
    alone = House(open_store(server, fingerprint=SECRETS.fingerprint))
    begin(alone)
    go_on(alone)
    folder = tmp_path_factory.mktemp("divided") / "spool"
    with divided_house(postgres, folder, log=log, shards=SHARDS, partitions=PARTITIONS, before=begin) as divided:
        with divided.at_work():
            go_on(divided)
        for house in (alone, divided):
            house.now_ms += 20 * DAY
        divided.settle()
        yield Both(alone, server, divided)
    alone.store.close()


class Archive:
    """A folder of histories beside three databases, and what is in it."""

    def __init__(self, house: Divided, folder: Path) -> None:
        self.house, self.folder = house, folder
        self.place = HistoryFolder(folder, "letters")

    def export(self) -> int:
        """Export; the moment of the history."""
        whole = export_history(self.house.store, "letters", self.place, keyring=SECRETS, now_ms=self.house.now_ms)
        assert whole.taken_ms is not None
        return whole.taken_ms

    def written(self, shard: str) -> dict[Path, int]:
        """The files of a database's rows, and when each was written."""
        files = (self.place.path / PARTS[shard]).glob("[!c]*/**/*.parquet")
        return {path: path.stat().st_mtime_ns for path in files}

    def all_written(self) -> dict[str, dict[Path, int]]:
        """The same of all databases."""
        return {shard: self.written(shard) for shard in SHARDS}

    def rows(self, table: str) -> list[Any]:
        """The rows of a table."""
        return [row for shard in SHARDS for row in self.rows_of(shard, table)]

    def rows_of(self, shard: str, table: str) -> list[Any]:
        """Those of one database."""
        files = self.place.whole().parts[PARTS[shard]].files
        paths = [self.place.path / file.path for file in files if file.table == table]
        return [row for path in paths for row in read_rows(path, table)]

    def cube(self) -> list[CubeRow]:
        """All of it, added up."""
        return cube_in(self.house, self.folder)


def cube_in(house: House, folder: Path) -> list[CubeRow]:
    """A history, added up."""
    place, whole = HistoryFolder(folder, "letters"), HistoryFolder(folder, "letters").whole()
    experiment = house.store.read(lambda session: find(session, "letters").experiment)
    return engine_of("duckdb").cube({table: place.paths(whole, table) for table in TABLES}, all_terms(experiment))


@pytest.fixture
def archive(postgres: Databases, log: str, tmp_path: Path) -> Iterator[Archive]:
    """Some visitors in three databases, of whom every third has bought something, and their history."""

    def some(house: House) -> None:
        house.start(letters(policy={"kind": "fixed"}))
        house.record(*(house.exposure("letters", f"old{number}") for number in range(24)))

    folder = tmp_path / "spool"
    with divided_house(postgres, folder, log=log, shards=SHARDS, partitions=PARTITIONS, before=some) as house:
        found = Archive(house, tmp_path / "histories")
        come(found, "v")
        found.export()
        yield found


def come(archive: Archive, name: str, *, number: int = 48) -> None:
    """More visitors, of whom every third buys something."""
    house = archive.house
    visitors = [f"{name}{each}" for each in range(number)]
    with house.at_work():
        house.record(*(house.exposure("letters", visitor) for visitor in visitors))
        house.record(*(house.event(visitor, "Order Completed") for visitor in visitors[::3]))


def somebody_in(archive: Archive, shard: str) -> str:
    """Somebody who is in a database, and has bought something."""
    return next(f"v{each}" for each in range(0, 48, 3) if archive.house.shard_of(f"v{each}") == shard)


def is_found_right(archive: Archive, ask: Ask) -> bool:
    """Whether the history is verified, as the databases are."""
    asked = server_of(archive.house, "first"), "verify"
    said, of_history = ask(*asked), ask(*asked, "--history", str(archive.folder))
    return (said.status, of_history.status) == (0, 0) and said.out == of_history.out


def name_of(visitor: str) -> str:
    """The name of a visitor in the exports."""
    return disguised([stand_in(visitor)], key=SECRETS.exports, within="letters")[0].hex()


def test_what_comes_of_three_databases_is_what_comes_of_one(both: Both, ask: Ask, tmp_path: Path) -> None:
    control = server_of(both.divided, "first")
    for name, server in (("alone", both.server), ("divided", control)):
        said = ask(server, "export", "letters", "--history", name)
        assert said.status == 0 and "2,232 rows of exposures and 300" in said.out, said
        assert ask(server, "verify", "--history", name) == ask(server, "verify")
    assert cube_in(both.alone, tmp_path / "alone") == cube_in(both.divided, tmp_path / "divided")
    for command in ("discover", "replay"):
        found = [
            json.loads(ask(server, command, "letters", "--format", "json", *where).out)
            for name, server in (("alone", both.server), ("divided", control))
            for where in ([], ["--history", name])
        ]
        days = [each.pop("before", None) for each in found]
        assert days[0] == days[1] == days[2]
        # By the clock of the house, by which the spool has told what is applied, it is long ago.
        assert days[3] == {"discover": None, "replay": "2024-10-11"}[command]
        assert found == found[:1] * 4 and len(str(found[0])) > 500


def test_each_visitor_is_in_the_part_of_one_database(both: Both, tmp_path: Path) -> None:
    archive = Archive(both.divided, tmp_path)
    archive.export()
    visitors = [{row.visitor for row in archive.rows_of(shard, "exposures")} for shard in SHARDS]
    assert list(archive.place.whole().parts) == list(PARTS.values()) and min(map(len, visitors)) > 500
    assert len(set().union(*visitors)) == sum(map(len, visitors)) == 2186


def test_only_all_databases_together_have_counted_what_is_in_the_events(both: Both, tmp_path: Path) -> None:
    archive = Archive(both.divided, tmp_path)
    archive.export()
    visitors = [len({row.visitor for row in archive.rows_of(shard, "exposures")}) for shard in SHARDS]
    counted = [
        sum(row.n - row.removed_n for row in archive.rows_of(shard, "cells") if row.metric == EXPOSURES)
        for shard in SHARDS
    ]
    # What was counted before there were shards has stayed in the first one.
    assert counted[0] > visitors[0] and sum(counted) == sum(visitors)


def test_what_has_come_since_is_added_to_each_part(archive: Archive, ask: Ask) -> None:
    before = archive.all_written()
    archive.house.now_ms += DAY
    come(archive, "later")
    archive.export()
    after = archive.all_written()
    for shard in SHARDS:
        assert before[shard].items() < after[shard].items()
    assert len(archive.rows("exposures")) == 24 + 48 + 48
    assert is_found_right(archive, ask)


def test_of_a_partition_that_was_moved_both_parts_are_written_anew(archive: Archive, ask: Ask) -> None:
    visitor, cube, before = somebody_in(archive, "second"), archive.cube(), archive.all_written()
    move_partition(archive.house.store, partition_of(stand_in(visitor), PARTITIONS), "third")
    archive.export()
    after = archive.all_written()
    assert archive.cube() == cube and is_found_right(archive, ask)
    assert before["first"] == after["first"]
    assert all(before[shard][path] != at for shard in SHARDS[1:] for path, at in after[shard].items() if path in before)
    # Back again, it has other neighbours and the same numbers.
    come(archive, "later")
    move_partition(archive.house.store, partition_of(stand_in(visitor), PARTITIONS), "second")
    archive.export()
    assert len(archive.rows("exposures")) == 24 + 48 + 48 and is_found_right(archive, ask)


def test_events_that_have_one_number_are_all_read(archive: Archive, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.history.growth._PAGE", 3)
    monkeypatch.setattr("experiments.history.growth._PAGES", 1)
    for partition in range(PARTITIONS):
        move_partition(archive.house.store, partition, "third")
    archive.export()
    numbers = [row.number for row in archive.rows("exposures")]
    assert len(set(numbers)) < len(numbers) == 24 + 48
    assert is_found_right(archive, ask)


def test_a_move_while_databases_are_looked_at_is_told_and_changes_nothing(archive: Archive, ask: Ask) -> None:
    house, cube = archive.house, archive.cube()
    partition = partition_of(stand_in(somebody_in(archive, "first")), PARTITIONS)
    refused = list[InvalidHistory]()

    def exporting() -> None:
        with pytest.raises(InvalidHistory, match=f"partition {partition} is being moved") as told:
            archive.export()
        refused.append(told.value)

    moving = Thread(target=move_partition, args=(house.store, partition, "third"))
    with psycopg.connect(server_of(house, "second").url) as connection:
        # What the second one has counted cannot be asked for: it is looked at after the first.
        connection.execute("LOCK TABLE cells_by_lane IN ACCESS EXCLUSIVE MODE")
        thread = Thread(target=exporting)
        thread.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'cells_by_lane'::regclass"
        wait_until(lambda: connection.execute(waiting).fetchone() == (1,), what="the second one is asked")
        moving.start()
        third = house.shards()["third"]
        wait_until(lambda: partition in third.read(lambda session: session.fences.here()), what="it is copied")
    for each in (thread, moving):
        each.join()
    assert refused and archive.cube() == cube
    archive.export()
    assert archive.cube() == cube and is_found_right(archive, ask)


class Interruption:
    """Something that is done once, when a file of some name is about to be there."""

    def __init__(self) -> None:
        self._name: str | None = None
        self._act: Callable[[], object] = lambda: None
        sys.addaudithook(self._hear)

    def at(self, name: str, act: Callable[[], object]) -> None:
        """Do it there."""
        self._name, self._act = name, act

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.rename" and self._name and self._name in str(arguments[1]):
            self._name = None
            self._act()


#: A hook of the interpreter stays for good.
_INTERRUPTION = Interruption()


def test_a_move_while_files_are_written_is_told_and_the_next_export_is_right(archive: Archive, ask: Ask) -> None:
    house, before = archive.house, archive.cube()
    partition = partition_of(stand_in(somebody_in(archive, "second")), PARTITIONS)
    archive.house.now_ms += DAY
    come(archive, "later")
    _INTERRUPTION.at("shard=second/exposures", lambda: move_partition(house.store, partition, "third"))
    with pytest.raises(InvalidHistory, match="removed or moved while its history was written: write it again"):
        archive.export()
    with pytest.raises(InvalidHistory, match="is not finished"):
        archive.place.whole()
    archive.export()
    assert archive.cube() != before and len(archive.rows("exposures")) == 24 + 48 + 48
    assert is_found_right(archive, ask)


def test_who_was_erased_in_one_database_is_in_no_file_and_the_others_stay(archive: Archive, ask: Ask) -> None:
    visitor, before = somebody_in(archive, "second"), archive.all_written()
    assert name_of(visitor) in {row.visitor for row in archive.rows("outcomes")}
    erased(archive.house, visitor)
    archive.house.settle()
    archive.export()
    after = archive.all_written()
    assert [before[shard] == after[shard] for shard in SHARDS] == [True, False, True]
    for table in TABLES:
        assert name_of(visitor) not in {row.visitor for row in archive.rows(table)}
    assert is_found_right(archive, ask)


def test_what_retention_has_removed_still_counts_also_once_it_was_moved(archive: Archive, ask: Ask) -> None:
    house = archive.house
    house.now_ms += 365 * DAY
    assert retained(house) > 0
    come(archive, "later")
    archive.export()
    assert sum(row.n for row in archive.rows("exposures") if row.number == 0) == 24 + 48
    assert is_found_right(archive, ask)
    # What was removed there has been counted there.
    cube = archive.cube()
    move_partition(house.store, partition_of(stand_in(somebody_in(archive, "first")), PARTITIONS), "second")
    archive.export()
    assert archive.cube() == cube and is_found_right(archive, ask)


def test_an_export_that_was_broken_off_in_the_second_database_goes_on_there(archive: Archive, ask: Ask) -> None:
    house = archive.house
    house.now_ms += DAY
    come(archive, "later")
    # Where the day's folder is to be, something else is.
    obstacle = archive.place.path / "shard=second" / "exposures" / "received=2024-10-05"
    obstacle.write_text("in the way")
    asked = server_of(house, "first"), "export", "letters", "--history", str(archive.folder)
    with pytest.raises(OSError):
        archive.export()
    assert "is not finished" in ask(server_of(house, "first"), "verify", "--history", str(archive.folder)).err
    obstacle.unlink()
    before = archive.all_written()
    assert ask(*asked).status == 0
    assert all(before[shard].items() <= archive.written(shard).items() for shard in SHARDS)
    assert before["first"] == archive.written("first")
    assert len(archive.rows("exposures")) == 24 + 48 + 48 and is_found_right(archive, ask)


def test_a_fault_in_one_database_is_found_in_the_same_words(archive: Archive, ask: Ask) -> None:
    control = server_of(archive.house, "first")
    fault = "UPDATE cells SET n = n + 1, sum = sum + 7 WHERE metric = 'purchase'"
    archive.house.shards()["second"].transact(lambda session: tamper(session.connection, fault))
    archive.export()
    said = ask(control, "verify", "--history", str(archive.folder))
    assert said.status == 1 and "metric purchase: " in said.err and "differences were found" in said.err
    assert ask(control, "verify").err == said.err


def test_a_database_that_is_away_is_named_and_the_history_stays(
    archive: Archive, ask: Ask, postgres: Databases
) -> None:
    cube = archive.cube()
    with away(archive.house, "third", postgres):
        said = ask(server_of(archive.house, "first"), "export", "letters", "--history", str(archive.folder))
    assert said.status == 1 and "shard third: " in said.err and "cannot be reached" in said.err
    assert archive.cube() == cube


def test_what_waits_to_be_applied_is_not_in_it_and_its_moment_is_before(archive: Archive) -> None:
    house = archive.house
    house.now_ms += HOUR
    assert archive.export() < house.now_ms, "nobody has said how far its spool is applied"
    house.tell()
    assert archive.export() == house.now_ms
    accepted_ms = house.now_ms
    house.record(house.event(somebody_in(archive, "second"), "Order Completed"))
    house.now_ms += HOUR
    house.tell()
    before = len(archive.rows("outcomes"))
    assert archive.export() == accepted_ms and len(archive.rows("outcomes")) == before
    with house.at_work():
        pass
    assert archive.export() == house.now_ms and len(archive.rows("outcomes")) == before + 1
