"""Cubes: what a history of visitors comes to, added up by one SQL text on whichever engine is there.

The text is of the kind that DuckDB and Spark read alike. All that it adds up are whole numbers, squares as decimals of
38 digits: so a sum does not depend on who added what first, and engines agree to the last bit. A sum that has no place
in these is an error of the engine, never another number.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import NamedTuple
from typing import Protocol

from experiments.counting import AT_ONCE
from experiments.counting import AT_ONCE_MS
from experiments.counting import BY_CLIENT
from experiments.counting import BY_SERVER
from experiments.counting import EXPOSURES
from experiments.counting import PROFIT

#: The tables of a history that are added up.
TABLES = ("exposures", "outcomes", "totals")

#: Where a visitor is counted.
_PLACE = "epoch, day, segment, arm, asserted, context, half"
_SQUARE = "CAST({0} AS DECIMAL(19, 0)) * CAST({0} AS DECIMAL(19, 0))"
_SUMS = ", ".join(
    f"CAST(sum({value}) AS DECIMAL(38, 0)) AS {name}"
    for name, value in (
        ("total", "value"),
        ("total_squares", _SQUARE.format("value")),
        ("removed_total", "removed"),
        ("removed_total_squares", _SQUARE.format("removed")),
    )
)

#: Of `exposures`, `outcomes` and `totals`, `metrics` and `arms`, the rows of a cube. What was removed from the events
#: has the number 0: it came before all that is left.
CUBE = f"""
WITH met AS (
    SELECT visitor, min(number) AS number, CAST(sum(n) AS BIGINT) AS n,
        CAST(sum(CASE WHEN number = 0 THEN n ELSE 0 END) AS BIGINT) AS removed_n
    FROM exposures
    GROUP BY visitor
),
exposed AS (
    SELECT exposures.visitor, exposures.number, {_PLACE}, at_ms, received_ms, met.n, removed_n
    FROM met
    JOIN exposures ON exposures.visitor = met.visitor AND exposures.number = met.number
),
additions AS (
    SELECT outcomes.visitor, outcomes.number, outcomes.metric, amount, trusted, is_watched,
        outcomes.at_ms - exposed.at_ms AS after_ms
    FROM outcomes
    JOIN exposed ON exposed.visitor = outcomes.visitor
    JOIN metrics ON metrics.metric = outcomes.metric
    WHERE (trusted OR hears_clients)
    AND outcomes.at_ms >= exposed.at_ms + from_ms
    AND outcomes.at_ms < exposed.at_ms + window_ms
    AND NOT (outcomes.number < exposed.number AND outcomes.received_ms + window_ms <= exposed.received_ms)
),
reached AS (
    SELECT visitor, metric, CAST(sum(amount) AS BIGINT) AS total, CAST(sum(removed) AS BIGINT) AS removed
    FROM (
        SELECT visitor, metric, amount, CAST(0 AS BIGINT) AS removed FROM additions
        UNION ALL
        SELECT visitor, metric, total AS amount, total AS removed FROM totals
    ) AS added
    GROUP BY visitor, metric
),
counted AS (
    SELECT visitor, reached.metric, is_goal, least(total, most) AS value, least(removed, most) AS removed
    FROM reached
    JOIN metrics ON metrics.metric = reached.metric
),
measured AS (
    SELECT visitor, metric, value, removed FROM counted
    UNION ALL
    SELECT visitor, metric, n AS value, removed_n AS removed
    FROM exposed
    JOIN metrics ON metric = '{EXPOSURES}'
    UNION ALL
    SELECT exposed.visitor, metrics.metric,
        gain * coalesce(goals.value, 0) - cost * n AS value,
        gain * coalesce(goals.removed, 0) - cost * removed_n AS removed
    FROM exposed
    JOIN metrics ON metrics.metric = '{PROFIT}'
    JOIN arms ON arms.name = exposed.arm
    LEFT JOIN counted AS goals ON goals.visitor = exposed.visitor AND goals.is_goal
),
shortened AS (
    SELECT visitor FROM exposed WHERE removed_n > 0
    UNION
    SELECT visitor FROM totals WHERE total <> 0
),
places AS (
    SELECT {_PLACE}, count(*) AS n, count(shortened.visitor) AS removed_n
    FROM exposed
    LEFT JOIN shortened ON shortened.visitor = exposed.visitor
    GROUP BY {_PLACE}
),
sums AS (
    SELECT {_PLACE}, metric, {_SUMS}
    FROM measured
    JOIN exposed ON exposed.visitor = measured.visitor
    GROUP BY {_PLACE}, metric
),
told AS (
    SELECT additions.visitor, min(additions.number) AS number
    FROM additions
    JOIN reached ON reached.visitor = additions.visitor AND reached.metric = additions.metric
    WHERE is_watched AND amount <> 0 AND removed = 0
    GROUP BY additions.visitor
),
tellers AS (
    SELECT told.visitor,
        CASE
            WHEN trusted THEN '{BY_SERVER}'
            WHEN after_ms < {AT_ONCE_MS} THEN '{AT_ONCE}'
            ELSE '{BY_CLIENT}'
        END AS metric
    FROM told
    JOIN additions ON additions.visitor = told.visitor AND additions.number = told.number
    WHERE is_watched
)
SELECT {", ".join(f"places.{name}" for name in _PLACE.split(", "))}, metrics.metric, places.n,
    coalesce(total, 0) AS total, coalesce(total_squares, 0) AS total_squares, places.removed_n,
    coalesce(removed_total, 0) AS removed_total, coalesce(removed_total_squares, 0) AS removed_total_squares
FROM places
CROSS JOIN metrics
LEFT JOIN sums ON {" AND ".join(f"sums.{name} = places.{name}" for name in _PLACE.split(", "))}
    AND sums.metric = metrics.metric
UNION ALL
SELECT {_PLACE}, metric, count(*), count(*), count(*), 0, 0, 0
FROM tellers
JOIN exposed ON exposed.visitor = tellers.visitor
GROUP BY {_PLACE}, metric
"""


class CubeRow(NamedTuple):
    """The visitors of a place in one metric: how many, and the sums of their values and squared values.

    What is `removed` of it came of events that are no longer there. The context is empty where none is stored.
    """

    epoch: int
    day: int
    segment: str
    arm: str
    asserted: bool
    context: str
    half: int
    metric: str
    n: int
    total: int
    total_squares: int
    removed_n: int
    removed_total: int
    removed_total_squares: int


class MetricTerms(NamedTuple):
    """By which rules a metric counts outcomes, up to the `most` of a visitor; the built-in ones count none."""

    metric: str
    hears_clients: bool = False
    from_ms: int = 0
    window_ms: int = 0
    most: int = 0
    is_goal: bool = False
    is_watched: bool = False


class ArmTerms(NamedTuple):
    """What one of the goal adds to a visitor's profit with an arm, and what an exposure takes from it."""

    name: str
    gain: int
    cost: int


class Terms(NamedTuple):
    """What is to be added up, and how."""

    metrics: Sequence[MetricTerms]
    arms: Sequence[ArmTerms]


class Engine(Protocol):
    """What adds up the files of a history."""

    def cube(self, paths: Mapping[str, Sequence[Path]], terms: Terms) -> list[CubeRow]:
        """The cube of these files, by table; its rows in order."""


def cube_of(rows: Sequence[Sequence[Any]]) -> list[CubeRow]:
    """The rows of a cube as an engine has found them, in order."""
    return sorted(CubeRow(*row[:9], *map(int, row[9:])) for row in rows)
