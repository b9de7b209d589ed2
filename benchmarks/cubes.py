"""How many rows of a history does an engine add up in a second?

`python -m benchmarks.cubes --rows 10000000` writes a history of so many rows and has it added up by DuckDB; with
`--spark` then by a cluster of a master and two workers of one core each, on this machine, the start of the session
included. It fails where their cubes differ. `--files 1000` divides each table into so many files.
"""

import argparse
import os
import time
from collections.abc import Mapping
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from pyarrow import parquet

from experiments.storage.history_folder import engine_of
from tests.experiments.crowds import crowd_terms
from tests.experiments.crowds import write_crowd
from tests.spark import running_spark

#: Of a crowd, for each visitor.
_ROWS_EACH = 1 + 1 / 20 + 2 / 3 + 1 / 300


def main() -> None:
    """Measure the engines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--spark", action="store_true")
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        paths = write_crowd(Path(folder) / "crowd", round(asked.rows / _ROWS_EACH), files=asked.files)
        digests = {_measured(paths, "duckdb")}
        if asked.spark:
            digests.add(_measured_on_spark(paths, Path(folder) / "spark"))
    assert len(digests) == 1, "the cubes differ"


def _measured_on_spark(paths: Mapping[str, Sequence[Path]], folder: Path) -> str:
    with running_spark(folder) as cluster:
        os.environ.update(cluster.settings)
        return _measured(paths, cluster.address)


def _measured(paths: Mapping[str, Sequence[Path]], name: str) -> str:
    """Print how quick an engine is; the digest of its cube."""
    rows = sum(parquet.read_metadata(path).num_rows for files in paths.values() for path in files)
    engine = engine_of(name)
    begun = time.perf_counter()
    cube = engine.cube(paths, crowd_terms())
    seconds = time.perf_counter() - begun
    digest = sha256(repr(cube).encode()).hexdigest()
    speed = f"{rows:,} rows in {seconds:.1f} s, {rows / seconds:,.0f} a second"
    print(f"{name}: {speed}; a cube of {len(cube):,} rows, {digest[:12]}", flush=True)
    return digest


if __name__ == "__main__":
    main()
