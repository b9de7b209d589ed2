"""Exposures that were looked up before: known exactly, or not at all."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.model import Exposure
from experiments.storage import remembered
from experiments.storage.exposed import Exposed
from experiments.storage.remembered import Remembered
from experiments.storage.embedded_store import SqliteStore
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from experiments.storage.visitors import ExposureRow

ROW = ExposureRow("mass", "everyone-else", 3, 5_000, 0, False)
BUCKETS = 1 << 18
ANN = ("e", b"a" * 16)

#: Numbers of which many share a bucket.
NUMBERS = st.builds(lambda bucket, round_: bucket + round_ * BUCKETS, st.integers(0, 2), st.integers(1, 12))
EXPOSURES = st.builds(Exposure, st.sampled_from("ab"), st.just("s"), st.integers(1, 3), st.just(5_000))


@pytest.fixture(name="serving")
def _serving(tmp_path: Path) -> Iterator[SqliteStore]:
    path = tmp_path / "bespoke.db"
    migrate_database(path, fingerprint="f")
    store = open_store(path, fingerprint="f", serving=True)
    yield store
    store.close()


@pytest.fixture(name="exposed")
def _exposed(tmp_path: Path) -> Iterator[Exposed]:
    exposed = Exposed(tmp_path / "bespoke.db")
    yield exposed
    exposed.close()


@given(st.lists(st.tuples(NUMBERS, EXPOSURES), max_size=60))
def test_what_is_known_is_what_was_kept_last(kept: list[tuple[int, Exposure]]) -> None:
    table, last = Remembered(), {}
    for number, exposure in kept:
        if table.get(number) is None:
            table.keep(number, exposure)
            last[number] = exposure
    assert all(table.get(number) in (None, exposure) for number, exposure in last.items())
    assert all(table.get(number) == last[number] for number in list(last)[-8:])
    assert table.get(3) is None


def test_a_bucket_that_is_full_forgets_its_oldest() -> None:
    table = Remembered()
    numbers = [7 + place * BUCKETS for place in range(1, 10)]
    for number in numbers:
        table.keep(number, ROW.fixed)
    assert [number for number in numbers if table.get(number) is None] == numbers[:1]


def test_threads_that_write_one_bucket_leave_nothing_wrong() -> None:
    table, wrong = Remembered(), []

    def work(own: int) -> None:
        exposure = Exposure(f"arm-{own}", "s", own, 1)
        for place in range(20_000):
            number = (place % 16 * 4 + own) * BUCKETS + 1
            found = table.get(number)
            if found is None:
                table.keep(number, exposure)
            elif found != exposure:
                wrong.append(found)

    threads = [Thread(target=work, args=(own,)) for own in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_exposure_is_looked_up_once_until_it_is_forgotten(serving: SqliteStore) -> None:
    serving.transact(lambda session: session.exposures.insert([(*ANN, *ROW)]))
    assert serving.exposures_of(ANN[1], ["e", "f"]) == {"e": ROW.fixed}
    serving.transact(lambda session: session.connection.execute("DELETE FROM exposures"))
    assert serving.exposures_of(ANN[1], ["e"]) == {"e": ROW.fixed}
    serving.forget_exposures()
    assert serving.exposures_of(ANN[1], ["e"]) == {}


def test_what_is_forgotten_while_it_is_looked_up_is_looked_up_again(exposed: Exposed) -> None:
    looked_up = []

    def look_up(key: tuple[str, bytes]) -> Exposure:
        looked_up.append(key)
        exposed.forget()
        return ROW.fixed

    assert exposed.exposure(ANN, look_up) == exposed.exposure(ANN, look_up) == ROW.fixed
    assert looked_up == [ANN, ANN]


def test_more_different_exposures_than_there_is_room_for_begin_anew(
    exposed: Exposed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "MOST_DIFFERENT", 3)
    looked_up = []

    def look_up(key: tuple[str, bytes]) -> Exposure:
        epoch = key[1][0]
        looked_up.append(epoch)
        return Exposure("mass", "s", epoch, 1)

    asked = [("e", bytes([epoch]) * 16) for epoch in (1, 1, 2, 2, 3, 3, 4, 4)]
    found = [exposed.exposure(key, look_up) for key in asked]
    assert [exposure and exposure.epoch for exposure in found] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert looked_up == [1, 2, 3, 3, 4]
