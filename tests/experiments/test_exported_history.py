"""History: what was exported as Parquet gives the answers of the database, and nobody who was erased is in it."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.discovery.proposals import discover
from experiments.events import Terms
from experiments.history.export import export_history
from experiments.history.record import ExportedHistory
from experiments.privacy.erasure import erase_all
from experiments.privacy.retention import Keeping
from experiments.privacy.retention import retain
from experiments.replay.records import replay
from experiments.signing import disguised
from experiments.signing import pseudonym
from experiments.snapshot import all_experiments
from experiments.storage.history_folder import HistoryFolder
from experiments.storage.history_manifests import InvalidHistory
from experiments.storage.history_manifests import Manifest
from experiments.storage.history_folder import engine_of
from experiments.storage.history_folder import histories_in
from experiments.storage.history_tables import read_rows
from experiments.storage.location import CONTROL
from experiments.storage.store import Store
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from experiments.verification import verify
from experiments.verification import verify_histories
from tests.experiments.documents import tiny
from tests.experiments.house import DAY
from tests.experiments.house import HOUR
from tests.experiments.house import House
from tests.experiments.house import SECRETS
from tests.experiments.replays import play
from tests.experiments.tampering import tamper
from tests.experiments.tastes import letters
from tests.experiments.tastes import send
from tests.postgres import Databases
from tests.service.processes import REPOSITORY

KEEPING = Keeping(Terms("personalise", 90 * 86_400), 90 * 86_400, 30 * 86_400, 30 * 86_400)


class Archive:
    """A folder of histories beside a house."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house, self.folder = house, folder

    def place(self, key: str) -> HistoryFolder:
        return HistoryFolder(self.folder, key)

    def export(self, key: str) -> Manifest:
        return export_history(
            self.house.store, key, self.place(key), keyring=SECRETS, now_ms=self.house.now_ms
        )

    def exported(self, key: str) -> ExportedHistory:
        return ExportedHistory(self.place(key), engine_of("duckdb"))

    def faults(self, key: str) -> list[str]:
        return verify_histories(self.house.store, [self.exported(key)])

    def rows(self, key: str, table: str) -> list[Any]:
        place = self.place(key)
        return [row for path in place.paths(place.whole(), table) for row in read_rows(path, table)]


@pytest.fixture(name="archive")
def _archive(store: Store, tmp_path: Path) -> Archive:
    """A house with an experiment in which two of three visitors signed up."""
    house = House(store)
    house.start(tiny())
    for visitor in ("ann", "bob", "cem"):
        house.record(house.exposure("tiny", visitor))
    house.record(house.event("ann", "Signed Up"), house.event("bob", "Signed Up", id="again"))
    return Archive(house, tmp_path / "histories")


def _exporting(folder: Path) -> Callable[[Any, int], None]:
    return lambda history, number: history.export(folder) if number % 20 == 0 else None


@pytest.mark.parametrize("seed", range(12))
def test_what_is_exported_of_any_history_comes_to_what_is_counted(seed: int, tmp_path: Path) -> None:
    play(seed, also=_exporting(tmp_path))


def test_what_is_exported_from_postgresql_comes_to_what_is_counted(postgres: Databases, tmp_path: Path) -> None:
    for seed in range(2):
        play(seed, databases=postgres, also=_exporting(tmp_path / str(seed)))


@pytest.mark.long
def test_what_is_exported_of_many_more_histories_comes_to_what_is_counted(tmp_path: Path) -> None:
    for seed in range(100, 600):
        play(seed, also=_exporting(tmp_path / str(seed)))


def test_discovery_and_the_what_if_are_answered_as_the_database_does(store: Store, tmp_path: Path) -> None:
    house = House(store)
    key = house.start(letters(control_share=0.1, arms=[{"key": "nothing", "role": "control"}, *letters()["arms"]]))
    send(house, key, visitors=12_000, rng=np.random.default_rng(4))
    house.now_ms += DAY
    send(house, key, visitors=1000, rng=np.random.default_rng(5))
    house.now_ms += 14 * DAY
    archive = Archive(house, tmp_path)
    archive.export(key)
    exported = archive.exported(key)
    found = discover(store, key, min_cell=10, source=exported)
    assert found.proposals and found == discover(store, key, min_cell=10)
    answered = replay(store, key, now_ms=house.now_ms, min_cell=10, source=exported)
    assert answered.visitors == 12_000 and answered == replay(store, key, now_ms=house.now_ms, min_cell=10)
    # Of what comes later the history knows nothing.
    later = replay(store, key, now_ms=house.now_ms + 30 * DAY, min_cell=10, source=exported)
    assert later == answered != replay(store, key, now_ms=house.now_ms + 30 * DAY, min_cell=10)
    assert verify_histories(store, [exported]) == []


def test_outcomes_that_a_metric_does_not_hear_or_that_waited_too_long_are_in_no_cube(
    store: Store, tmp_path: Path
) -> None:
    [goal] = tiny()["metrics"]
    heard = {**goal, "key": "heard", "role": "secondary", "source": "server", "window": "2d"}
    house = House(store)
    house.start(tiny(metrics=[{**goal, "window": "1d"}, heard]))
    for visitor in ("ann", "bob"):
        house.record(house.event(visitor, "Signed Up"))
    seen = house.now_ms - HOUR
    house.now_ms += 36 * HOUR
    # Of a day ago, when the outcomes had not come yet: one metric has waited long enough, the other has not.
    house.record(*(house.exposure("tiny", visitor, at=seen) for visitor in ("ann", "bob")))
    house.record(house.exposure("tiny", "cem"), house.event("cem", "Signed Up"))
    house.record(house.event("bob", "Signed Up", at=seen + HOUR), trusted=True)
    archive = Archive(house, tmp_path)
    archive.export("tiny")
    assert archive.faults("tiny") == [] == verify(store)
    assert (house.total("tiny", "signup")[1], house.total("tiny", "heard")[1]) == (2, 1)


@pytest.mark.every_database
def test_a_changed_cell_is_told_in_the_same_words(archive: Archive) -> None:
    house = archive.house
    house.store.transact(
        lambda session: tamper(session.connection, "UPDATE cells SET n = n + 1, sum = sum + 7 WHERE metric = 'signup'")
    )
    archive.export("tiny")
    faults = archive.faults("tiny")
    assert faults and faults == verify(house.store)
    assert all(fault.startswith("cell of tiny") for fault in faults)


def test_a_second_export_adds_what_has_come_since(archive: Archive) -> None:
    first = archive.export("tiny")
    before = {path: path.stat().st_mtime_ns for path in archive.folder.glob("**/*.parquet")}
    archive.house.now_ms += DAY
    archive.house.record(archive.house.exposure("tiny", "dan"), archive.house.event("cem", "Signed Up"))
    second = archive.export("tiny")
    assert second.parts[CONTROL].watermark == first.parts[CONTROL].watermark + 2
    kept = [path for path, at in before.items() if path.stat().st_mtime_ns == at]
    assert len(kept) == len(before) - 1, "only the cells are written again"
    assert archive.faults("tiny") == []
    assert len(archive.rows("tiny", "exposures")) == 4 and len(archive.rows("tiny", "outcomes")) == 3


@pytest.mark.every_database
def test_whoever_is_erased_is_in_no_file_of_the_next_export(archive: Archive) -> None:
    archive.export("tiny")
    stand_in = pseudonym("ann", key=SECRETS.visitors)
    [name] = disguised([stand_in], key=SECRETS.exports, within="tiny")
    assert name.hex() in {row.visitor for row in archive.rows("tiny", "outcomes")}
    archive.house.store.transact(
        lambda session: erase_all(session, [stand_in], experiments=all_experiments(session))
    )
    archive.export("tiny")
    for table in ("exposures", "outcomes", "totals"):
        assert name.hex() not in {row.visitor for row in archive.rows("tiny", table)}
    assert {row.number for row in archive.rows("tiny", "exposures")} == {2, 3}
    assert archive.faults("tiny") == [] == verify(archive.house.store)


@pytest.mark.every_database
def test_what_retention_has_removed_still_counts(archive: Archive) -> None:
    house = archive.house
    house.now_ms += 365 * DAY
    while retain(house.store, house.snapshots, KEEPING, now_ms=house.now_ms):
        pass
    house.record(house.exposure("tiny", "ann"), house.exposure("tiny", "new"), house.event("new", "Signed Up"))
    archive.export("tiny")
    numbers = [row.number for row in archive.rows("tiny", "exposures")]
    assert sorted(numbers) == [0, 0, 0, 6, 7]
    assert archive.faults("tiny") == [] == verify(house.store)


@pytest.mark.every_database
def test_an_experiment_whose_key_is_almost_the_same_is_another_one(archive: Archive) -> None:
    archive.house.start(tiny(key="ti_y"))
    archive.house.record(archive.house.exposure("ti_y", "dan"), archive.house.event("dan", "Signed Up"))
    archive.export("ti_y")
    assert len(archive.rows("ti_y", "exposures")) == 1
    assert archive.faults("ti_y") == [] == verify(archive.house.store)


def test_an_export_that_was_broken_off_is_not_read_and_goes_on(archive: Archive) -> None:
    archive.export("tiny")
    house = archive.house
    for visitor in ("dan", "eve"):
        house.now_ms += DAY
        house.record(house.exposure("tiny", visitor))
    # Where the last day's folder is to be, something else is.
    obstacle = archive.place("tiny").path / CONTROL / "exposures" / "received=2024-10-06"
    obstacle.write_text("in the way")
    with pytest.raises(OSError):
        archive.export("tiny")
    with pytest.raises(InvalidHistory, match="is not finished"):
        archive.exported("tiny")
    obstacle.unlink()
    kept = {path: path.stat().st_mtime_ns for path in archive.folder.glob("*/*/*/*/*.parquet")}
    archive.export("tiny")
    assert all(path.stat().st_mtime_ns == at for path, at in kept.items())
    assert archive.faults("tiny") == [] and len(archive.rows("tiny", "exposures")) == 5


def test_an_export_that_is_killed_at_any_file_goes_on_to_the_same_history(tmp_path: Path) -> None:
    database = tmp_path / "bespoke.db"
    migrate_database(database, fingerprint=SECRETS.fingerprint)
    store = open_store(database, fingerprint=SECRETS.fingerprint, serving=True)
    house = House(store)
    house.start(tiny())
    for visitor in ("ann", "bob"):
        house.record(house.exposure("tiny", visitor), house.event(visitor, "Signed Up"))
        house.now_ms += DAY
    whole = Archive(house, tmp_path / "whole")
    whole.export("tiny")
    killed = 0
    while True:
        archive = Archive(house, tmp_path / str(killed))
        asked = [database, archive.folder, "tiny", str(killed + 1)]
        line = [sys.executable, "-m", "tests.experiments.broken_exports", *asked]
        if subprocess.run(line, cwd=REPOSITORY, check=False).returncode != -signal.SIGKILL:
            break
        killed += 1
        manifest = archive.place("tiny").manifest()
        assert manifest is None or manifest.taken_ms is None
        assert archive.export("tiny") == whole.place("tiny").whole()
        left = {path.relative_to(archive.folder) for path in archive.folder.glob("**/*.*")}
        assert left == {path.relative_to(whole.folder) for path in whole.folder.glob("**/*.*")}
    # The manifest, what is removed and that of the part, two days of two tables with theirs, the cells, the last one.
    assert killed == 1 + 3 + 1 + 2 * 3 + 2
    store.close()


def test_two_at_once_do_not_write_one_history(archive: Archive) -> None:
    with archive.place("tiny").alone(), pytest.raises(InvalidHistory, match="is being written by another process"):
        archive.export("tiny")
    assert archive.export("tiny").taken_ms == archive.house.now_ms


def test_neither_ids_nor_stand_ins_are_told(archive: Archive) -> None:
    archive.export("tiny")
    told = " ".join(str(row) for table in ("exposures", "outcomes", "totals") for row in archive.rows("tiny", table))
    told += " ".join(path.read_text() for path in archive.folder.glob("**/manifest.json"))
    for visitor in ("ann", "bob", "cem"):
        assert visitor not in told and pseudonym(visitor, key=SECRETS.visitors).hex() not in told


@pytest.mark.parametrize(
    ("change", "saying"),
    [
        (lambda path: (path / "manifest.json").write_text("{}"), "must be the manifest of a history"),
        (lambda path: (path / "manifest.json").write_text("not JSON"), "must be the manifest of a history"),
        (lambda path: _replace(path / "manifest.json", '"schema": 2', '"schema": 99'), "the schema 99 is not known"),
        (lambda path: _replace(path / "manifest.json", '"tiny"', '"other"'), "has the history of other"),
        (lambda path: (path / "control/cells/cells.parquet").unlink(), "has None bytes"),
        (lambda path: (path / "control/cells/cells.parquet").write_bytes(b"PAR1"), "has 4 bytes"),
    ],
)
def test_a_history_that_is_not_whole_is_refused(
    archive: Archive, change: Callable[[Path], object], saying: str
) -> None:
    archive.export("tiny")
    change(archive.place("tiny").path)
    with pytest.raises(InvalidHistory, match=saying):
        archive.exported("tiny")


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_an_empty_folder_and_an_unknown_engine_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidHistory, match="bespoke export KEY --history"):
        histories_in(tmp_path)
    with pytest.raises(InvalidHistory, match="'postgres' must be duckdb, or the address of a Spark master"):
        engine_of("postgres")


def test_an_experiment_that_nobody_has_seen_has_a_history_too(store: Store, tmp_path: Path) -> None:
    house = House(store)
    house.start(tiny())
    archive = Archive(house, tmp_path)
    assert archive.export("tiny").parts[CONTROL].watermark == 0 and archive.faults("tiny") == []
