"""Cubes by DuckDB: in this process, on one machine."""

from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from tempfile import gettempdir

import duckdb

from experiments.storage.cubes import CUBE
from experiments.storage.cubes import CubeRow
from experiments.storage.cubes import Terms
from experiments.storage.cubes import cube_of
from experiments.storage.history_tables import table_of


class DuckdbEngine:
    """DuckDB, which spills to the disk what does not fit into memory."""

    def cube(self, paths: Mapping[str, Sequence[Path]], terms: Terms) -> list[CubeRow]:
        """The cube of these files, by table; its rows in order."""
        # Where else, rows of people would be left in whatever folder a command is run in.
        with duckdb.connect(config={"temp_directory": gettempdir()}) as connection:
            for name, files in paths.items():
                # Names of folders are no columns.
                rows = connection.read_parquet([str(file) for file in files], hive_partitioning=False)
                rows.create_view(name)
            for name, terms_of_kind in terms._asdict().items():
                connection.register(name, table_of(terms_of_kind))
            return cube_of(connection.execute(CUBE).fetchall())
