"""Rows as columns: in memory for an engine, and in Parquet."""

import os
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any
from typing import NamedTuple

import pyarrow
from pyarrow import parquet

from experiments.storage.history_manifests import InvalidHistory
from experiments.storage.history_rows import ROWS
from experiments.storage.history_rows import Columns

_TYPES = {int: pyarrow.int64(), float: pyarrow.float64(), str: pyarrow.string(), bool: pyarrow.bool_()}


def table_of(rows: Sequence[NamedTuple]) -> Any:
    """A table of rows of one kind, of which there is one at least."""
    return _table(type(rows[0]), list(zip(*rows, strict=True)))


def write_columns(path: Path, table: str, columns: Columns) -> int:
    """Write a file of a history, whole or not at all; its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        parquet.write_table(_table(ROWS[table], columns), file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return path.stat().st_size


def read_rows(path: Path, table: str) -> list[Any]:
    """The rows of a file of a history."""
    columns = parquet.ParquetFile(path).read().to_pydict()
    return list(map(ROWS[table], *(columns[name] for name in ROWS[table]._fields)))


def check_files(paths: Mapping[str, Iterable[Path]]) -> None:
    """Refuse files that are not of their table.

    :raises InvalidHistory: naming the first.
    """
    for table, files in paths.items():
        schema = schema_of(ROWS[table])
        for path in files:
            if (found := _schema_in(path)) != schema:
                raise InvalidHistory(f"{path} has the columns {_columns(found)}, must have {_columns(schema)}")


def check_contents(paths: Mapping[str, Iterable[Path]]) -> None:
    """Refuse files that are damaged, however long it takes to read all of them.

    :raises InvalidHistory: naming the first.
    """
    for path in chain.from_iterable(paths.values()):
        try:
            for _ in parquet.ParquetFile(path).iter_batches():
                pass
        except (OSError, pyarrow.ArrowException) as error:
            raise InvalidHistory(f"{path}: {error}") from error


def schema_of(kind: type[Any]) -> Any:
    """The columns of rows of a kind."""
    return pyarrow.schema([(name, _TYPES[type_]) for name, type_ in kind.__annotations__.items()])


def _table(kind: type[Any], columns: Columns) -> Any:
    schema = schema_of(kind)
    return pyarrow.table([pyarrow.array(*pair) for pair in zip(columns, schema.types, strict=True)], schema=schema)


def _schema_in(path: Path) -> Any:
    try:
        return parquet.read_schema(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise InvalidHistory(f"{path}: {error}") from error


def _columns(schema: Any) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
