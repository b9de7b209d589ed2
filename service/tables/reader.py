"""Tables in CSV (RFC 4180), read row by row in constant memory: UTF-8 with or without a mark, any line ends."""

import csv
import os
import stat
from collections.abc import Iterator
from collections.abc import Mapping
from typing import IO
from typing import NamedTuple

from experiments.errors import BespokeError
from experiments.errors import shown

#: Bytes of one row, its line breaks in quotes included.
LONGEST_ROW = 1 << 20

_MARK = b"\xef\xbb\xbf"


class InvalidTable(BespokeError):
    """A table that cannot be read, or says what it must not: the text names file, line and rule."""

    code = "invalid_table"


class Row(NamedTuple):
    """The cells of a row by column, and the line on which it begins."""

    line: int
    cells: Mapping[str, str]


class Table:
    """A table in reading: `columns` are known at once, rows come one by one.

    `read` are the bytes that went by, of `length`; that is None where nobody knows it.
    """

    def __init__(self, file: IO[bytes]) -> None:
        """Read the first line.

        :raises InvalidTable: if there is none, or it does not name each column once.
        """
        self.name = getattr(file, "name", "the table")
        self.length = _length(file)
        self.read = 0
        self._file = file
        self._line = 0
        self._left = LONGEST_ROW
        self._reader = csv.reader(self._lines(), strict=True)
        csv.field_size_limit(LONGEST_ROW)
        self.columns = tuple(next(self._records(), (1, []))[1])
        self._check_columns()

    def rows(self) -> Iterator[Row]:
        """The rows in order, those without any text left out.

        :raises InvalidTable: at the first that cannot be read.
        """
        for line, cells in self._records():
            if len(cells) != len(self.columns):
                raise self.fault(line, f"{len(cells)} cells must be {len(self.columns)}, as many as columns")
            yield Row(line, dict(zip(self.columns, cells, strict=True)))

    def fault(self, line: int, detail: str) -> InvalidTable:
        """What is wrong on a line, as an error to be raised."""
        return InvalidTable(f"{self.name}, line {line}: {detail}")

    def _check_columns(self) -> None:
        if not any(self.columns):
            raise self.fault(1, "the table is empty; its first line must name the columns")
        for column in self.columns:
            if not column or self.columns.count(column) > 1:
                raise self.fault(1, f"column {shown(column)} must have a name of its own")

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Rows that are not blank, each with the line on which it begins."""
        while True:
            self._left = LONGEST_ROW
            begins = self._line + 1
            try:
                cells = next(self._reader, None)
            except csv.Error as error:
                raise self.fault(begins, f"is no row of CSV ({error})") from error
            if cells is None:
                return
            if cells:
                yield begins, cells

    def _lines(self) -> Iterator[str]:
        while data := self._file.readline(self._left + 1):
            self._line += 1
            self._left -= len(data)
            self.read += len(data)
            yield self._text(data.removeprefix(_MARK) if self._line == 1 else data)

    def _text(self, data: bytes) -> str:
        if self._left < 0:
            raise self.fault(self._line, f"the row is longer than {LONGEST_ROW} bytes, or a quote is never closed")
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise self.fault(self._line, f"is not UTF-8 at byte {error.start + 1}") from error
        if "\0" in text:
            raise self.fault(self._line, "holds a NUL")
        return text


def _length(file: IO[bytes]) -> int | None:
    try:
        status = os.fstat(file.fileno())
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
