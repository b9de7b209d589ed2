"""The rows of a history, as its files have them: whole numbers, texts and truths; times in ms since 1970, UTC."""

from collections.abc import Iterable
from collections.abc import Sequence
from itertools import chain
from typing import Any
from typing import NamedTuple


class HistoryExposure(NamedTuple):
    """An exposure of a visitor; one that was removed from the events has the number 0, and stands for `n`.

    Attributes:
        number: of the event, in the order of storing.
        day: of the exposure, in UTC and since 1970.
        weight: in ten-thousandths.
        context: what is stored of the visitor's attributes; empty where that is nothing.
        half: in which of two halves the visitor is, by the stand-in, which is not here.
    """

    number: int
    visitor: str
    arm: str
    segment: str
    epoch: int
    weight: int
    day: int
    at_ms: int
    received_ms: int
    asserted: bool
    context: str
    half: int
    n: int


class HistoryOutcome(NamedTuple):
    """An outcome, once for each metric that hears its event; the amount is 1, or money in minor units."""

    number: int
    visitor: str
    event: str
    metric: str
    amount: int
    at_ms: int
    received_ms: int
    trusted: bool


class HistoryTotal(NamedTuple):
    """What outcomes that were removed from the events have added to a visitor's total."""

    visitor: str
    metric: str
    total: int


class HistoryCell(NamedTuple):
    """A cell as the database has it, and how much of it is no longer in the events."""

    epoch: int
    day: int
    segment: str
    arm: str
    asserted: bool
    metric: str
    context: str
    n: int
    total: int
    total_squares: float
    removed_n: int
    removed_total: int
    removed_total_squares: float


HistoryRow = HistoryExposure | HistoryOutcome | HistoryTotal | HistoryCell

#: The rows of each table.
ROWS: dict[str, type[HistoryRow]] = {
    "exposures": HistoryExposure,
    "outcomes": HistoryOutcome,
    "totals": HistoryTotal,
    "cells": HistoryCell,
}

#: Rows of a table, as a column for each of their fields, in this order.
Columns = Sequence[Sequence[Any]]


def columns_of(table: str, rows: Iterable[HistoryRow]) -> Columns:
    """The columns of rows of a table."""
    return list(zip(*rows, strict=True)) or together(table, [])


def together(table: str, parts: Iterable[Columns]) -> Columns:
    """The columns of all rows of a table of which some are here and some are there."""
    return [list(chain.from_iterable(each)) for each in zip(*parts, strict=True)] or [()] * len(ROWS[table]._fields)
