"""How traffic moved, as rows that a chart can draw: one for each epoch, segment and arm. Pure."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any
from typing import TypedDict

#: A drawing of more steps than this, over all its segments, is larger and no clearer.
MOST_STEPS = 240

_LONGEST_LABEL = 20


Moment = tuple[str, Mapping[str, float]]


class Epoch(TypedDict):
    """The weight (share of 1) that one arm has in one segment from `at` (ISO 8601) on."""

    at: str
    epoch: int
    segment: str
    arm: str
    role: str
    weight: float


def epoch_rows(allocations: Iterable[Mapping[str, Any]], *, role_by_arm: Mapping[str, str]) -> list[Epoch]:
    """The ledger's published rows, as `GET /v1/experiments/{key}/allocations` answers them, one arm a row."""
    return [
        Epoch(at=row["at"], epoch=row["epoch"], segment=segment, arm=arm, role=role_by_arm[arm], weight=weight)
        for row in allocations
        if row.get("kind", "published") == "published"
        for segment, weight_by_arm in row["weights"].items()
        for arm, weight in weight_by_arm.items()
    ]


def steps(rows: Sequence[Epoch], *, until: str, order: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """What is drawn: for each segment the moments at which its weights changed, and the newest again at the end."""
    segments = dict.fromkeys(row["segment"] for row in rows)
    for segment in segments:
        changes = _changes(_moments([row for row in rows if row["segment"] == segment]))
        moments = _thinned(changes, most=MOST_STEPS // len(segments))
        last, newest = moments[-1]
        for at, weight_by_arm in [*moments, (until, newest)] if last < until else moments:
            for arm, weight in weight_by_arm.items():
                yield {"segment": segment, "arm": arm, "at": at, "weight": weight, "order": order[arm]}


def labels(rows: Sequence[Epoch], *, until: str, order: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """Each arm's name and newest weight, at the middle of its area or as near as the neighbours allow."""
    newest = max((row["epoch"] for row in rows), default=0)
    for segment in dict.fromkeys(row["segment"] for row in rows):
        now = [row for row in rows if row["epoch"] == newest and row["segment"] == segment]
        now.sort(key=lambda row: order[row["arm"]])
        middles = _apart(list(_middles(row["weight"] for row in now)))
        for row, middle in zip(now, middles, strict=True):
            text = f"{_short(row['arm'])} {row['weight']:.0%}"
            yield {"segment": segment, "at": until, "middle": middle, "label": text}


def time_format(rows: Sequence[Epoch], *, until: str) -> str:
    """How the time axis writes its moments (d3-time-format): hours, days or months, by what the drawing spans."""
    days = (datetime.fromisoformat(until) - _time(rows[0]["at"])).days if rows else 0
    return "%H:%M" if days < 2 else "%-d %b" if days < 300 else "%b %Y"


def _moments(rows: Sequence[Epoch]) -> list[Moment]:
    """One segment's weights from each moment on."""
    weights_by_moment: dict[str, dict[str, float]] = {}
    for _, group in groupby(sorted(rows, key=lambda row: row["epoch"]), key=lambda row: row["epoch"]):
        epoch = list(group)
        # Of two epochs in one second the later holds.
        weights_by_moment[epoch[0]["at"]] = {row["arm"]: round(row["weight"], 3) for row in epoch}
    return list(weights_by_moment.items())


def _changes(moments: Sequence[Moment]) -> list[Moment]:
    """The moments without those at which nothing changed."""
    before = [None, *(weights for _, weights in moments)]
    return [moment for moment, old in zip(moments, before, strict=False) if moment[1] != old]


def _thinned(moments: Sequence[Moment], *, most: int) -> list[Moment]:
    """The first moment, and the newest one in each of so many equal parts of the time."""
    if len(moments) <= most:
        return list(moments)
    times = [_time(at) for at, _ in moments]
    first, part = min(times), (max(times) - min(times)) / most
    by_part = {(at - first) // part: moment for at, moment in zip(times, moments, strict=True)}
    return [moments[0], *(moment for moment in by_part.values() if moment is not moments[0])]


def _time(at: str) -> datetime:
    return datetime.fromisoformat(at)


def _middles(weights: Iterable[float]) -> Iterator[float]:
    below = 0.0
    for weight in weights:
        yield below + weight / 2
        below += weight


def _apart(middles: Sequence[float]) -> list[float]:
    """The places moved up, then down, until neighbours do not overlap and all stay inside."""
    gap = min(0.14, 1 / max(1, len(middles) - 1))
    placed: list[float] = []
    for middle in middles:
        placed.append(max(middle, placed[-1] + gap) if placed else middle)
    ceiling = 1.0
    for index in reversed(range(len(placed))):
        placed[index] = min(placed[index], ceiling)
        ceiling = placed[index] - gap
    return placed


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_LABEL else name[: _LONGEST_LABEL - 1] + "…"
