"""Whether the report counts what the replay posted, neither more nor less."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from experiments.errors import BespokeError
from service.demo.replay import Counts

#: Metrics in the units of the replay's counts: conversions, and cents.
_UNITS = {"visit": 1, "purchase": 1, "spend": 100}


class Miscounted(BespokeError):
    """The report does not count what was posted."""

    code = "miscounted"


def check_counts(report: Mapping[str, Any], posted: Counts) -> None:
    """Compare every row that the report shows, segment by segment and in total, with what was posted.

    :raises Miscounted: naming the rows that differ.
    """
    rows = [*_by_segment(report, posted), *_in_total(report, posted)]
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


def _by_segment(report: Mapping[str, Any], posted: Counts) -> Iterator[tuple[str, dict[str, int], dict[str, int]]]:
    for row in _shown(report["arms"]):
        place = row["segment"], row["arm"]
        sent = {what: posted[*place, what] for what in ("visitors", *_UNITS)}
        yield " / ".join(place), _figures(row), sent


def _in_total(report: Mapping[str, Any], posted: Counts) -> Iterator[tuple[str, dict[str, int], dict[str, int]]]:
    for row in _shown(report["totals"]):
        sent = {
            what: sum(n for (_, arm, of_what), n in posted.items() if (arm, of_what) == (row["arm"], what))
            for what in ("visitors", *_UNITS)
        }
        yield row["arm"], _figures(row), sent


def _shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if not row.get("suppressed")]


def _figures(row: Mapping[str, Any]) -> dict[str, int]:
    sums = {metric: round(row["metrics"][metric]["sum"] * unit) for metric, unit in _UNITS.items()}
    return {"visitors": row["visitors"], **sums}


def totals(posted: Counts) -> dict[str, int]:
    """What was posted altogether."""
    return {what: sum(n for (_, _, of), n in posted.items() if of == what) for what in ("visitors", *_UNITS)}
