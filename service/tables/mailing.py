"""The mail-merge as a table: what each visitor gets, beside what was known of the visitor."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from experiments.evaluation import Evaluation
from experiments.model import Experiment
from service.tables.cells import READERS
from service.tables.cells import safe_cell
from service.tables.reader import Row
from service.tables.reader import Table

#: Columns that may name the visitor.
VISITOR_COLUMNS = ("visitor", "id")

_OURS = ("visitor", "segment", "arm", "role", "propensity", "epoch", "cause")
_SAID = ("consent", "token")


class Mailing:
    """A table of visitors, read for an experiment; `columns` are those of the table that comes out."""

    def __init__(self, table: Table, experiment: Experiment) -> None:
        """Find the visitor's column.

        :raises InvalidTable: if there is none, or two.
        """
        self._table = table
        self._experiment = experiment
        self._visitor = _visitor_column(table)
        self._others = tuple(column for column in table.columns if column != self._visitor)
        self._message = _message_columns(experiment)
        taken = (*_OURS, *self._message)
        # What came in is kept, under another name where ours would hide it.
        kept = (f"input.{column}" if column in taken else column for column in self._others)
        self.columns = (*taken, *kept)

    @property
    def unknown_attributes(self) -> tuple[str, ...]:
        """Declared attributes for which there is no column: null for everybody."""
        return tuple(name for name in self._experiment.attributes if name not in self._others)

    def visitor(self, row: Row) -> dict[str, Any]:
        """The visitor of a row, as assignments are asked for.

        :raises InvalidTable: if a cell is not of its attribute's type.
        """
        said = {name: row.cells[name] for name in _SAID if row.cells.get(name)}
        return {"id": row.cells[self._visitor], "attributes": dict(self._attributes(row)), **said}

    def cells(self, row: Row, evaluation: Evaluation) -> list[Any]:
        """The row that comes out, none of its texts a formula.

        :raises InvalidTable: if the message has a field that no arm had when the table was begun.
        """
        assignment = evaluation.assignment
        message = dict(_fields(evaluation.message))
        for name in message:
            if name not in self._message:
                raise self._table.fault(row.line, f"arm {assignment.arm} is new, and so is {name}: begin again")
        ours = (
            row.cells[self._visitor], assignment.segment, assignment.arm, evaluation.role, assignment.propensity,
            assignment.epoch, assignment.cause,
        )
        written = (message.get(name) for name in self._message)
        return [safe_cell(value) for value in (*ours, *written, *(row.cells[column] for column in self._others))]

    def _attributes(self, row: Row) -> Iterator[tuple[str, Any]]:
        for name, attribute in self._experiment.attributes.items():
            text = row.cells.get(name) if name in self._others else None
            if text:
                try:
                    yield name, READERS[attribute.type](text)
                except ValueError as error:
                    raise self._table.fault(row.line, f"column {name!r}: {text[:80]!r} {error}") from error


def _visitor_column(table: Table) -> str:
    found = [column for column in VISITOR_COLUMNS if column in table.columns]
    if len(found) != 1:
        columns = ", ".join(table.columns)[:200]
        raise table.fault(1, f"one column must name the visitor: {' or '.join(VISITOR_COLUMNS)}; there are {columns}")
    return found[0]


def _message_columns(experiment: Experiment) -> tuple[str, ...]:
    """The fields of all arms' messages, in the document's order."""
    return tuple(dict.fromkeys(name for arm in experiment.arms for name, _ in _fields(arm.message or {})))


def _fields(message: Mapping[str, Any], path: Sequence[str] = ()) -> Iterator[tuple[str, Any]]:
    """The fields of a message by their dotted names; lists stay whole."""
    for name, value in message.items():
        if isinstance(value, dict) and value:
            yield from _fields(value, (*path, name))
        else:
            yield ".".join((*path, name)), value
