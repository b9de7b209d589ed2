"""Replays: the history of a seed, played on a database of its own, as often as one likes.

`python -m tests.experiments.replays 4711` plays one and says what it does; `--without NAME` takes a guard of
`tests.experiments.guards` away first.
"""

import argparse
import sys
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from experiments import lifecycle
from experiments.acts import do
from experiments.audit import Deed
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from tests.experiments.documents import three_kinds
from tests.experiments.guards import taken_away
from tests.experiments.histories import STARTED
from tests.experiments.histories import WHAT
from tests.experiments.histories import History
from tests.experiments.house import SECRETS
from tests.experiments.house import START

#: Steps of one history.
LENGTH = 40


@lru_cache
def _template() -> bytes:
    """The database that every history begins with, made once."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bespoke.db"
        migrate_database(path, fingerprint=SECRETS.fingerprint)
        store = open_store(path, fingerprint=SECRETS.fingerprint, serving=True)
        for document in three_kinds():
            lifecycle.create(store, document, deed=Deed("test", START))
        for key in STARTED:
            do(store, key, "start", deed=Deed("test", START))
        store.close()
        return path.read_bytes()


@contextmanager
def begun(*, say: Callable[[str], None] = lambda _: None) -> Iterator[History]:
    """A history on a database of its own, in memory where the machine lends it as files."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None, ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "bespoke.db"
        path.write_bytes(_template())
        serving = open_store(path, fingerprint=SECRETS.fingerprint, serving=True)
        beside = open_store(path, fingerprint=SECRETS.fingerprint)
        try:
            yield History(serving, beside, say=say)
        finally:
            beside.close()
            serving.close()


class Broken(AssertionError):
    """A history went another way than the oracle says; its text ends with the command that plays it again."""


def play(seed: int, *, without: str | None = None, say: Callable[[str], None] = lambda _: None) -> None:
    """Play the history of a seed.

    :raises Broken: at the first difference.
    """
    rng, name, number = Random(seed), "begin", 0
    names, weights = list(WHAT), [often for _, often in WHAT.values()]
    with taken_away(without):
        try:
            with begun(say=say) as history:
                for number in range(1, LENGTH + 1):
                    [name] = rng.choices(names, weights)
                    say(f"{number}. {name}")
                    WHAT[name][0](history, rng)
                    history.check()
                name = "end"
                history.end()
        except Exception as error:
            option = f" --without {without!r}" if without else ""
            raise Broken(
                f"seed {seed}, step {number}, {name}: {type(error).__name__}: {error}\n"
                f"again: {sys.executable} -m tests.experiments.replays {seed}{option}"
            ) from error


def main() -> None:
    """Play histories again, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--without", help="a guard to take away")
    asked = parser.parse_args()
    try:
        for seed in asked.seeds:
            play(seed, without=asked.without, say=print)
    except Broken as broken:
        sys.exit(str(broken))


if __name__ == "__main__":
    main()
