"""Exports as files, written while they are read: CSV for spreadsheets, Parquet for programs."""

import csv
from collections.abc import Callable
from collections.abc import Iterator
from io import BytesIO
from io import StringIO
from typing import Any

from experiments.errors import MissingExtra
from experiments.exports import Export
from experiments.exports import Kind
from experiments.times import iso
from service.tables.cells import safe_cell

#: The content type of each kind of file.
KINDS = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}


def file_of(export: Export, kind: str) -> Iterator[bytes]:
    """The file of an export, some rows at a time.

    :raises MissingExtra: if what writes files of this kind is not installed.
    """
    return _WRITERS[kind](export)


def _csv(export: Export) -> Iterator[bytes]:
    yield _lines([[*export.columns]])
    kinds = [*export.columns.values()]
    for rows in export.pages:
        yield _lines([[_cell(value, kind) for value, kind in zip(row, kinds, strict=True)] for row in rows])


def _lines(rows: list[list[Any]]) -> bytes:
    out = StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def _cell(value: Any, kind: Kind) -> Any:
    return iso(value) if kind == "time" and value is not None else safe_cell(value)


def _parquet(export: Export) -> Iterator[bytes]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtra(f"Parquet needs the package {error.name}: pip install -e '.[parquet]'") from error
    types = {
        "text": pyarrow.string(), "whole": pyarrow.int64(), "number": pyarrow.float64(), "flag": pyarrow.bool_(),
        "time": pyarrow.timestamp("ms", tz="UTC"),
    }
    schema = pyarrow.schema([(name, types[kind]) for name, kind in export.columns.items()])
    return _row_groups(export, schema, pyarrow=pyarrow, parquet=parquet)


def _row_groups(export: Export, schema: Any, *, pyarrow: Any, parquet: Any) -> Iterator[bytes]:
    sink = _Sink()
    with parquet.ParquetWriter(sink, schema) as writer:
        for rows in export.pages:
            columns = zip(*rows, strict=True) if rows else ((),) * len(schema)
            arrays = [pyarrow.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
            yield sink.taken()
    yield sink.taken()


class _Sink(BytesIO):
    """Where a file is written that somebody takes away piece by piece: it knows how much has gone."""

    def __init__(self) -> None:
        super().__init__()
        self._gone = 0

    def tell(self) -> int:
        """How far the whole file has come."""
        return self._gone + super().tell()

    def taken(self) -> bytes:
        """What has been written since the last time."""
        piece = self.getvalue()
        self._gone += len(piece)
        self.seek(0)
        self.truncate()
        return piece

    def close(self) -> None:
        """Stay: what is written last is taken after that."""


_WRITERS: dict[str, Callable[[Export], Iterator[bytes]]] = {"csv": _csv, "parquet": _parquet}
