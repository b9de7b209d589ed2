"""Who was never exposed: a no must be certain, whoever wrote and whenever."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from time import sleep

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.storage.exposed import Exposed
from experiments.storage.store import SqliteStore
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from experiments.storage.visitors import ExposureRow
from tests.experiments.documents import spring_mailing
from tests.experiments.house import House

ROW = ExposureRow("mass", "everyone", 1, 5_000, 0, False)

#: Exposes one more visitor from a process of its own, as a command beside the server does.
COMMAND = """
import sys
from pathlib import Path
from experiments.storage.store import open_store
store = open_store(Path(sys.argv[1]), fingerprint="f")
store.transact(lambda session: session.exposures.insert([("e", bytes.fromhex(sys.argv[2]), "mass", "x", 1, 1, 0, 0)]))
store.close()
"""


def visitor(number: int) -> bytes:
    return hashlib.blake2b(str(number).encode(), digest_size=16).digest()


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    path = tmp_path / "bespoke.db"
    migrate_database(path, fingerprint="f")
    return path


@pytest.fixture(name="serving")
def _serving(path: Path) -> Iterator[SqliteStore]:
    store = open_store(path, fingerprint="f", serving=True)
    yield store
    store.close()


def expose(store: SqliteStore, *numbers: int, experiment: str = "e") -> None:
    store.transact(lambda session: session.exposures.insert((experiment, visitor(each), *ROW) for each in numbers))


def wait_for(holds: Callable[[], bool]) -> None:
    until = monotonic() + 10
    while not holds():
        assert monotonic() < until
        sleep(0.01)


def looks_up(store: SqliteStore, number: int, *, experiment: str = "e") -> bool:
    assert store._exposed is not None
    return store._exposed.may_hold((experiment, visitor(number)))


@given(exposed=st.sets(st.integers(0, 10**6)), others=st.sets(st.integers(0, 10**6), max_size=50))
def test_whoever_was_added_is_held(exposed: set[int], others: set[int]) -> None:
    ...


def test_a_server_that_starts_gathers_who_was_exposed_before(path: Path) -> None:
    before = open_store(path, fingerprint="f")
    expose(before, *range(25_000))
    before.close()
    store = open_store(path, fingerprint="f", serving=True)
    try:
        # Complete, or not asked yet: nobody is forgotten meanwhile.
        while looks_up(store, -1):
            assert looks_up(store, 24_999)
        assert all(looks_up(store, number) for number in range(25_000))
        assert sum(looks_up(store, number) for number in range(25_000, 50_000)) < 500
    finally:
        store.close()


def test_a_filter_that_is_full_goes_on(serving: SqliteStore) -> None:
    wait_for(lambda: not looks_up(serving, -1))
    for start in range(0, 200_000, 50_000):
        expose(serving, *range(start, start + 50_000))
    assert all(looks_up(serving, number) for number in range(0, 200_000, 7))
    assert sum(looks_up(serving, number) for number in range(200_000, 210_000)) < 300


def test_an_exposure_to_one_experiment_is_none_to_another(serving: SqliteStore) -> None:
    wait_for(lambda: not looks_up(serving, -1))
    expose(serving, 1)
    assert looks_up(serving, 1)
    assert not looks_up(serving, 1, experiment="f")


def test_what_a_command_beside_the_server_exposes_is_seen_at_once(path: Path, serving: SqliteStore) -> None:
    wait_for(lambda: not looks_up(serving, -1))
    for number in range(3):
        subprocess.run([sys.executable, "-c", COMMAND, str(path), visitor(number).hex()], check=True)
        assert list(serving.exposures_of(visitor(number), ["e"])) == ["e"]
        ...
