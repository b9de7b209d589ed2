"""Crowds: the files of a history of as many visitors as one likes, drawn by a seed, that no database has seen.

`python -m tests.experiments.crowds FOLDER ENGINE` prints the cube of what was written there.
"""

import sys
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import compute
from pyarrow import parquet

from experiments.document import parse_document
from experiments.history.cubes import all_terms
from experiments.storage.cubes import TABLES
from experiments.storage.cubes import Terms
from experiments.storage.history_folder import engine_of
from experiments.storage.history_rows import ROWS
from experiments.storage.history_tables import schema_of
from experiments.times import DAY_MS
from tests.experiments.documents import three_kinds

_FIRST_MS = 20_000 * DAY_MS
_DAYS = 20
_EPOCHS = 10
_SEGMENTS = ("womens-shoppers", "everyone-else")
_ARMS = ("nothing", "one-letter", "womens-letter")
_METRICS = ("purchase", "spend", "visits", "came-back")
_CONTEXTS = ("", *(f'{{"recency":{band},"womens":{womens}}}' for band in range(4) for womens in ("true", "false")))


def crowd_terms() -> Terms:
    """To add up every metric of a crowd."""
    return all_terms(parse_document(three_kinds()[0]))


def write_crowd(folder: Path, visitors: int, *, seed: int = 1, files: int = 4) -> Mapping[str, Sequence[Path]]:
    """Write a history in which visitors were exposed, some of them twice, and two of three did something; its files.

    Of every hundredth the first exposure was removed from the events, and what came of it.
    """
    rng = np.random.default_rng(seed)
    exposures = _exposures(rng, visitors)
    tables = {
        "exposures": exposures,
        "outcomes": _outcomes(rng, visitors, exposures["at_ms"][:visitors]),
        "totals": _totals(rng, visitors),
    }
    return {name: _written(folder, name, columns, files) for name, columns in tables.items()}


def _exposures(rng: np.random.Generator, visitors: int) -> dict[str, Any]:
    again = rng.integers(visitors, size=visitors // 20)
    numbers = np.arange(1, visitors + 1)
    numbers[::100] = 0
    visitor = np.concatenate([np.arange(visitors), again])
    at_ms = _FIRST_MS + (np.arange(len(visitor)) * (_DAYS * DAY_MS) // len(visitor))
    n = len(visitor)
    return {
        "number": np.concatenate([numbers, np.arange(visitors + 1, n + 1)]),
        "visitor": _names(visitor),
        "arm": _drawn(rng, _ARMS, n),
        "segment": _drawn(rng, _SEGMENTS, n),
        "epoch": 1 + np.arange(n) * _EPOCHS // n,
        "weight": np.full(n, 3333),
        "day": at_ms // DAY_MS,
        "at_ms": at_ms,
        "received_ms": at_ms,
        "asserted": rng.random(n) < 0.02,
        "context": _drawn(rng, _CONTEXTS, n),
        "half": rng.integers(2, size=n),
        "n": np.ones(n, np.int64),
    }


def _outcomes(rng: np.random.Generator, visitors: int, exposed_ms: Any) -> dict[str, Any]:
    n = visitors * 2 // 3
    visitor, metric = rng.integers(visitors, size=n), rng.integers(len(_METRICS), size=n)
    at_ms = exposed_ms[visitor] + rng.integers(-DAY_MS // 10, 6 * DAY_MS, size=n)
    return {
        "number": 2 * visitors + np.arange(n),
        "visitor": _names(visitor),
        "event": _taken(("Order Completed", "Order Completed", "Page Viewed", "Order Completed"), metric),
        "metric": _taken(_METRICS, metric),
        "amount": np.where(metric == 1, rng.integers(9_000, size=n), 1),
        "at_ms": at_ms,
        "received_ms": at_ms,
        "trusted": rng.random(n) < 0.3,
    }


def _totals(rng: np.random.Generator, visitors: int) -> dict[str, Any]:
    visitor = np.arange(0, visitors, 300)
    return {
        "visitor": _names(visitor),
        "metric": _taken(("spend",), np.zeros(len(visitor), np.int64)),
        "total": rng.integers(9_000, size=len(visitor)),
    }


def _names(visitors: Any) -> Any:
    return compute.utf8_lpad(compute.cast(pyarrow.array(visitors), pyarrow.string()), 32, "0")


def _drawn(rng: np.random.Generator, texts: Sequence[str], n: int) -> Any:
    return _taken(texts, rng.integers(len(texts), size=n))


def _taken(texts: Sequence[str], codes: Any) -> Any:
    return pyarrow.array(texts).take(pyarrow.array(codes))


def _written(folder: Path, name: str, columns: Mapping[str, Any], files: int) -> list[Path]:
    table = pyarrow.table(dict(columns), schema=schema_of(ROWS[name]))
    size = -(-len(table) // files)
    paths = [folder / name / f"{number}.parquet" for number in range(files)]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table.slice(number * size, size), path, compression="zstd")
    return paths


def main(folder: str, engine: str) -> None:
    """Print a cube, a row a line."""
    paths = {table: sorted((Path(folder) / table).iterdir()) for table in TABLES}
    for row in engine_of(engine).cube(paths, crowd_terms()):
        print(*row, sep="\t")


if __name__ == "__main__":
    main(*sys.argv[1:])
