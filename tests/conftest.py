"""Fixtures for every test: the store on each backend, and the data that lies beside the repository."""

import gc
import os
import shutil
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings

from experiments.storage.location import Location
from experiments.storage.store import Store
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from tests.experiments.house import SECRETS
from tests.growthbook_clients import Node
from tests.growthbook_clients import running_node
from tests.postgres import Databases
from tests.postgres import running_postgres

# What is drawn is the same in each run, and a busy machine is no fault.
settings.register_profile("house", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data and public vectors; in CI its absence is a failure."""
    if not SHARED_DATA.is_dir():
        reason = f"{SHARED_DATA} is not there"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return SHARED_DATA


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """GrowthBook's SDK for JavaScript."""
    with running_node() as node:
        yield node


@pytest.fixture(scope="session")
def postgres() -> Iterator[Databases]:
    """A PostgreSQL server."""
    with running_postgres() as databases:
        yield databases


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let a long test have half an hour, where it does not say how long it may take."""
    if item.get_closest_marker("long") and not item.get_closest_marker("timeout"):
        item.add_marker(pytest.mark.timeout(1800))


def pytest_collection_finish() -> None:
    """Let the search for garbage pass over thousands of tests and modules, which are none."""
    gc.collect()
    gc.freeze()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests on an embedded database, and those marked so on each kind of database."""
    if "location" in metafunc.fixturenames:
        is_wide = metafunc.definition.get_closest_marker("every_database") is not None
        metafunc.parametrize("location", ["sqlite", "postgresql"] if is_wide else ["sqlite"], indirect=True)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedded database as `bespoke init` leaves it, of which others are copies."""
    path = tmp_path_factory.mktemp("template") / "bespoke.db"
    migrate_database(path, fingerprint=SECRETS.fingerprint)
    return path


@pytest.fixture
def location(request: pytest.FixtureRequest, tmp_path: Path, template: Path) -> Location:
    """A database of each kind, as `bespoke init` leaves it."""
    if request.param == "postgresql":
        databases: Databases = request.getfixturevalue("postgres")
        return databases.fresh()
    return Path(shutil.copy(template, tmp_path))


@pytest.fixture
def opened(location: Location) -> Callable[[bool], Store]:
    """A function that opens one and the same database, for serving or beside the server."""
    return lambda serving: open_store(location, fingerprint=SECRETS.fingerprint, serving=serving)


@pytest.fixture
def store(opened: Callable[[bool], Store]) -> Iterator[Store]:
    """A store as the server has it."""
    store = opened(True)
    yield store
    store.close()
