"""Who was never exposed: a no must be certain, whoever wrote and whenever."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.signing import pseudonym
from experiments.storage.session import Session
from experiments.storage.embedded_store import SqliteStore
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from experiments.storage.visitors import ExposureRow
from tests.experiments.documents import tiny
from tests.experiments.house import SECRETS
from tests.experiments.house import House
from tests.service.processes import wait_until

ROW = ExposureRow("mass", "everyone", 1, 5_000, 0, False)

#: Exposes one more visitor from a process of its own, as a command beside the server does.
COMMAND = """
import sys
from pathlib import Path
from experiments.storage.store import open_store
from tests.experiments.house import House
house = House(open_store(Path(sys.argv[1]), fingerprint="f"))
house.snapshots.refresh()
[receipt] = house.record(house.exposure("tiny", sys.argv[2]))
assert receipt.status == "accepted", receipt
house.store.close()
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


def looks_up(store: SqliteStore, number: int, *, experiment: str = "e") -> bool:
    assert store._exposed is not None
    return store._exposed.may_hold((experiment, visitor(number)))


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
    wait_until(lambda: not looks_up(serving, -1), what="all who were exposed are known")
    for start in range(0, 200_000, 50_000):
        expose(serving, *range(start, start + 50_000))
    assert all(looks_up(serving, number) for number in range(0, 200_000, 7))
    assert sum(looks_up(serving, number) for number in range(200_000, 210_000)) < 300


def test_an_exposure_to_one_experiment_is_none_to_another(serving: SqliteStore) -> None:
    wait_until(lambda: not looks_up(serving, -1), what="all who were exposed are known")
    expose(serving, 1)
    assert looks_up(serving, 1)
    assert not looks_up(serving, 1, experiment="f")


def test_what_a_command_beside_the_server_exposes_is_known_at_once(path: Path, serving: SqliteStore) -> None:
    key = House(serving).start(tiny())
    for name in ("ann", "bob"):
        stand_in = pseudonym(name, key=SECRETS.visitors)
        wait_until(lambda: not looks_up(serving, -1), what="all who were exposed are known")
        assert serving.exposures_of(stand_in, [key]) == {}
        subprocess.run([sys.executable, "-c", COMMAND, str(path), name], check=True)
        assert list(serving.exposures_of(stand_in, [key])) == [key]


def test_a_server_takes_in_what_others_exposed(path: Path, serving: SqliteStore) -> None:
    beside = House(open_store(path, fingerprint="f"))
    key = beside.start(tiny())
    for number in range(20):
        beside.record(beside.exposure(key, f"u{number}"))
    beside.store.close()
    stand_ins = [pseudonym(f"u{number}", key=SECRETS.visitors) for number in range(20)]
    assert all(serving.exposures_of(each, [key]) for each in stand_ins)
    wait_until(lambda: not looks_up(serving, -1), what="all who were exposed are known")
    assert all(serving.exposures_of(each, [key]) for each in stand_ins)


def test_an_exposure_that_was_undone_does_no_harm(serving: SqliteStore) -> None:
    wait_until(lambda: not looks_up(serving, -1), what="all who were exposed are known")

    def fail(session: Session) -> None:
        session.exposures.insert([("e", visitor(1), *ROW)])
        raise ValueError("no")

    with pytest.raises(ValueError):
        serving.transact(fail)
    assert serving.exposures_of(visitor(1), ["e"]) == {}
    assert not looks_up(serving, 2)
