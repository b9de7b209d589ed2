"""Fixtures for every test: the store on each backend, and the data that lies beside the repository."""

import os
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings

from experiments.storage.store import Store
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from tests.experiments.house import SECRETS
from tests.growthbook_clients import Node
from tests.growthbook_clients import running_node

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


def _embedded(folder: Path) -> Callable[[bool], Store]:
    path = folder / "bespoke.db"
    migrate_database(path, fingerprint=SECRETS.fingerprint)
    return lambda serving: open_store(path, fingerprint=SECRETS.fingerprint, serving=serving)


BACKENDS = {"sqlite": _embedded}


@pytest.fixture(params=sorted(BACKENDS))
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[bool], Store]:
    """A function that opens one and the same database, for serving or beside the server."""
    opener: Callable[[bool], Store] = BACKENDS[request.param](tmp_path)
    return opener


@pytest.fixture
def store(opened: Callable[[bool], Store]) -> Iterator[Store]:
    """A store as the server has it."""
    store = opened(True)
    yield store
    store.close()
