"""Whether the report counts what the replay posted, neither more nor less."""

from collections import Counter
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from experiments.errors import BespokeError
from service.demo.campaign import Counts

#: Where in a report, what it says there, and what was posted.
Row = tuple[str, dict[str, int], dict[str, int]]


class Miscounted(BespokeError):
    """The report does not count what was posted."""

    code = "miscounted"


def check_counts(report: Mapping[str, Any], posted: Counts, *, units: Mapping[str, int]) -> None:
    """Compare every row that the report shows, segment by segment and in total, with what was posted.

    `units` are the metrics that are compared, each with its smallest units in one.

    :raises Miscounted: naming the rows that differ.
    """
    rows = [*_by_segment(report, posted, units), *_in_total(report, posted, units)]
    wrong = [f"{where}: reported {reported}, posted {sent}" for where, reported, sent in rows if reported != sent]
    if wrong or not rows:
        raise Miscounted("; ".join(wrong) or "the report shows no row to compare")


class Idle(BespokeError):
    """The scheduler did nothing."""

    code = "idle"


def check_reallocated(ledger: Sequence[Mapping[str, Any]]) -> None:
    """See that the allocation was moved by the scheduler.

    :raises Idle: if the ledger holds nothing of it.
    """
    if not any(row["actor"] == "scheduler" for row in ledger):
        raise Idle("the scheduler reallocated nothing: see the server's log")


def _by_segment(report: Mapping[str, Any], posted: Counts, units: Mapping[str, int]) -> Iterator[Row]:
    for row in _shown(report["arms"]):
        place = row["segment"], row["arm"]
        sent = {what: posted[*place, what] for what in ("visitors", *units)}
        yield " / ".join(place), _figures(row, units), sent


def _in_total(report: Mapping[str, Any], posted: Counts, units: Mapping[str, int]) -> Iterator[Row]:
    for row in _shown(report["totals"]):
        of_arm = Counter({where: n for where, n in posted.items() if where[1] == row["arm"]})
        sent = {what: total(of_arm, what) for what in ("visitors", *units)}
        yield row["arm"], _figures(row, units), sent


def _shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if not row.get("suppressed")]


def _figures(row: Mapping[str, Any], units: Mapping[str, int]) -> dict[str, int]:
    sums = {metric: round(row["metrics"][metric]["sum"] * unit) for metric, unit in units.items()}
    return {"visitors": row["visitors"], **sums}


def total(posted: Counts, what: str) -> int:
    """What was posted altogether of visitors, or of a metric."""
    return sum(n for (_, _, of), n in posted.items() if of == what)
