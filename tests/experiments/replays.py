"""Replays: the history of a seed, played on a database of its own, as often as one likes.

`python -m tests.experiments.replays 4711` plays one and says what it does; `--without NAME` takes a guard of
`tests.experiments.guards` away first.
"""

import argparse
import sys
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from experiments import lifecycle
from experiments.acts import do
from experiments.audit import Deed
from experiments.storage.location import Location
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from tests.experiments.documents import three_kinds
from tests.experiments.guards import taken_away
from tests.experiments.histories import STARTED
from tests.experiments.histories import WHAT
from tests.experiments.histories import History
from tests.experiments.house import SECRETS
from tests.experiments.house import START
from tests.postgres import Databases
from tests.postgres import running_postgres

#: Steps of one history.
LENGTH = 40


def _begin(location: Location) -> None:
    """Make a database what every history begins with."""
    migrate_database(location, fingerprint=SECRETS.fingerprint)
    store = open_store(location, fingerprint=SECRETS.fingerprint, serving=True)
    for document in three_kinds():
        lifecycle.create(store, document, deed=Deed("test", START))
    for key in STARTED:
        do(store, key, "start", deed=Deed("test", START))
    store.close()


@lru_cache
def _file() -> bytes:
    """An embedded database to begin with, made once."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bespoke.db"
        _begin(path)
        return path.read_bytes()


@lru_cache
def _template(databases: Databases) -> str:
    """The name of a database of PostgreSQL to begin with, made once."""
    template = databases.empty()
    _begin(template)
    return databases.name_of(template)


@contextmanager
def _fresh(databases: Databases | None) -> Iterator[Location]:
    """A database of its own; an embedded one is in memory where the machine lends it as files."""
    if databases:
        yield databases.fresh(_template(databases))
        return
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None, ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "bespoke.db"
        path.write_bytes(_file())
        yield path


@contextmanager
def begun(*, say: Callable[[str], None] = lambda _: None, databases: Databases | None = None) -> Iterator[History]:
    """A history on a database of its own: of a server and a command beside it, or of two nodes on PostgreSQL."""
    with _fresh(databases) as location:
        serving = open_store(location, fingerprint=SECRETS.fingerprint, serving=True)
        beside = open_store(location, fingerprint=SECRETS.fingerprint, serving=databases is not None)
        try:
            yield History(serving, beside, say=say)
        finally:
            beside.close()
            serving.close()


class Broken(AssertionError):
    """A history went another way than the oracle says; its text ends with the command that plays it again."""


def play(
    seed: int,
    *,
    without: str | None = None,
    say: Callable[[str], None] = lambda _: None,
    databases: Databases | None = None,
    also: Callable[[History, int], None] = lambda *_: None,
) -> None:
    """Play the history of a seed, on PostgreSQL where there are databases of it; `also` comes after each step.

    :raises Broken: at the first difference.
    """
    rng, name, number = Random(seed), "begin", 0
    names, weights = list(WHAT), [often for _, often in WHAT.values()]
    with taken_away(without):
        try:
            with begun(say=say, databases=databases) as history:
                for number in range(1, LENGTH + 1):
                    [name] = rng.choices(names, weights)
                    say(f"{number}. {name}")
                    WHAT[name][0](history, rng)
                    history.check()
                    also(history, number)
                name = "end"
                history.end()
        except Exception as error:
            option = (f" --without {without!r}" if without else "") + (" --postgresql" if databases else "")
            raise Broken(
                f"seed {seed}, step {number}, {name}: {type(error).__name__}: {error}\n"
                f"again: {sys.executable} -m tests.experiments.replays {seed}{option}"
            ) from error


def main() -> None:
    """Play histories again, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--without", help="a guard to take away")
    parser.add_argument("--postgresql", action="store_true", help="play on two nodes and PostgreSQL")
    asked = parser.parse_args()
    try:
        with running_postgres() if asked.postgresql else nullcontext() as databases:
            for seed in asked.seeds:
                play(seed, without=asked.without, say=print, databases=databases)
    except Broken as broken:
        sys.exit(str(broken))


if __name__ == "__main__":
    main()
