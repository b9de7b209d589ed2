"""How many rows of a history does an engine add up in a second?

`python -m benchmarks.cubes --rows 10000000 --engine duckdb` writes a history of so many rows and has it added up;
`--engine spark://127.0.0.1:7077` by a cluster that is there, `--folder` where it sees files.
"""

import argparse
import time
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from pyarrow import parquet

from experiments.storage.history_folder import engine_of
from tests.experiments.crowds import crowd_terms
from tests.experiments.crowds import write_crowd

#: Of a crowd, for each visitor.
_ROWS_EACH = 1 + 1 / 20 + 2 / 3 + 1 / 300


def rows_of(paths: Mapping[str, Sequence[Path]]) -> int:
    """How many rows files have."""
    return sum(parquet.read_metadata(path).num_rows for files in paths.values() for path in files)


def main() -> None:
    """Measure an engine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--engine", default="duckdb")
    parser.add_argument("--folder", help="where the history is written; else in a folder that is gone after")
    asked = parser.parse_args()
    with nullcontext(asked.folder) if asked.folder else TemporaryDirectory() as folder:
        paths = write_crowd(Path(folder), round(asked.rows / _ROWS_EACH))
        rows, engine = rows_of(paths), engine_of(asked.engine)
        begun = time.perf_counter()
        cube = engine.cube(paths, crowd_terms())
        seconds = time.perf_counter() - begun
    digest = sha256(repr(cube).encode()).hexdigest()[:12]
    speed = f"{rows:,} rows in {seconds:.1f} s, {rows / seconds:,.0f} a second"
    print(f"{asked.engine}: {speed}; {len(cube):,} rows of a cube, {digest}")


if __name__ == "__main__":
    main()
