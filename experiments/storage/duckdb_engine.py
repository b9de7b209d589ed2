"""Cubes by DuckDB: in this process, on one machine."""

from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from tempfile import gettempdir

import duckdb

from experiments.storage.cubes import CUBE
from experiments.storage.cubes import CubeRow
from experiments.storage.cubes import NO_PLACE
from experiments.storage.cubes import STEPS
from experiments.storage.cubes import Terms
from experiments.storage.cubes import cube_of
from experiments.storage.history_manifests import InvalidHistory
from experiments.storage.history_tables import check_contents
from experiments.storage.history_tables import check_files
from experiments.storage.history_tables import table_of

#: Of the machine's, or of the container's: what runs beside it needs the rest.
_MEMORY = "50%"


class DuckdbEngine:
    """DuckDB, which spills to the disk what does not fit into so much memory."""

    def __init__(self, *, memory: str = _MEMORY) -> None:
        self._memory = memory

    def cube(self, paths: Mapping[str, Sequence[Path]], terms: Terms) -> list[CubeRow]:
        """The cube of these files, by table; its rows in order.

        :raises InvalidHistory: if a file is not one of its table, or DuckDB cannot add them up.
        """
        check_files(paths)
        # A folder of its own: rows of people are not left where a command is run, and two do not spill into one file.
        with TemporaryDirectory(prefix="bespoke-") as folder:
            try:
                with duckdb.connect(config={"temp_directory": folder, "memory_limit": self._memory}) as connection:
                    return _cube(connection, paths, terms)
            except duckdb.DataError as error:
                raise InvalidHistory(f"duckdb: {NO_PLACE}: {_said(error)}") from error
            except duckdb.OutOfMemoryException as error:
                room = f"there are {self._memory} of memory, and what is free in {gettempdir()}"
                raise InvalidHistory(f"duckdb: {_said(error)}: {room}") from error
            except duckdb.Error as error:
                # DuckDB does not say which file it could not read.
                check_contents(paths)
                raise InvalidHistory(f"duckdb: {_said(error)}") from error


def _said(error: duckdb.Error) -> str:
    return str(error).partition("\n")[0]


def _cube(
    connection: duckdb.DuckDBPyConnection, paths: Mapping[str, Sequence[Path]], terms: Terms
) -> list[CubeRow]:
    for name, files in paths.items():
        # Names of folders are no columns.
        connection.read_parquet([str(file) for file in files], hive_partitioning=False).create_view(name)
    for name, terms_of_kind in terms._asdict().items():
        connection.register(name, table_of(terms_of_kind))
    for name, step in STEPS.items():
        connection.execute(f"CREATE TEMP TABLE {name} AS {step}")
    return cube_of(connection.execute(CUBE).fetchall())
