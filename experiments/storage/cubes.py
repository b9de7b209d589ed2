"""Cubes: what a history of visitors comes to, added up by one SQL text on whichever engine is there.

The text is of the kind that DuckDB and Spark read alike. All that it adds up are whole numbers, as decimals of up to
38 digits: so a sum does not depend on who added what first, and engines agree to the last bit. A sum that has no place
in these, or in the 64 bits of what is kept of a visitor, is an error of the engine, never another number.
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

#: What engines say of a sum that is too large.
NO_PLACE = "a sum has no place in its digits"

_COLUMNS = ("epoch", "day", "segment", "arm", "asserted", "context", "half")
#: Where a visitor is counted.
_PLACE = ", ".join(_COLUMNS)
# 64 bits with room for more of them: an engine that adds up in 64 would stop at what another has a place for.
_ROOMY = "CAST({0} AS DECIMAL(19, 0))"
_SUMS = ", ".join(
    f"CAST(sum({value}) AS DECIMAL(38, 0)) AS {name}"
    for name, value in (
        ("total", _ROOMY.format("value")),
        ("total_squares", f"{_ROOMY} * {_ROOMY}".format("value")),
        ("removed_total", _ROOMY.format("removed")),
        ("removed_total_squares", f"{_ROOMY} * {_ROOMY}".format("removed")),
    )
)

#: Each visitor, by the first exposure. What was removed from the events has the number 0: it came before all that is
#: left.
_EXPOSED = f"""
SELECT visitor, number, {_PLACE}, at_ms, received_ms, n, removed_n
FROM (
    SELECT visitor, number, {_PLACE}, at_ms, received_ms,
        CAST(sum(n) OVER (PARTITION BY visitor) AS BIGINT) AS n,
        CAST(sum(CASE WHEN number = 0 THEN n ELSE 0 END) OVER (PARTITION BY visitor) AS BIGINT) AS removed_n,
        row_number() OVER (PARTITION BY visitor ORDER BY number) AS nth
    FROM exposures
) AS met
WHERE nth = 1
"""

#: What each visitor has reached in a metric; in one that is watched also who told of it first, if that is still known,
#: as a place in `_TELLERS`.
_REACHED = f"""
SELECT visitor, added.metric, is_goal, least({{amount}}, most) AS value, least({{removed}}, most) AS removed,
    CASE WHEN {{removed}} = 0 THEN min_by(teller, telling) END AS teller
FROM (
    SELECT outcomes.visitor, outcomes.metric, amount, CAST(0 AS BIGINT) AS removed,
        CASE WHEN is_watched AND amount <> 0 THEN outcomes.number END AS telling,
        CASE WHEN trusted THEN 0 WHEN outcomes.at_ms - exposed.at_ms < {AT_ONCE_MS} THEN 1 ELSE 2 END AS teller
    FROM outcomes
    JOIN exposed ON exposed.visitor = outcomes.visitor
    JOIN metrics ON metrics.metric = outcomes.metric
    WHERE (trusted OR hears_clients)
    AND outcomes.at_ms >= exposed.at_ms + from_ms
    AND outcomes.at_ms < exposed.at_ms + window_ms
    AND NOT (outcomes.number < exposed.number AND outcomes.received_ms + window_ms <= exposed.received_ms)
    UNION ALL
    SELECT visitor, metric, total AS amount, total AS removed, NULL AS telling, NULL AS teller FROM totals
) AS added
JOIN metrics ON metrics.metric = added.metric
GROUP BY visitor, added.metric, is_goal, most
""".format(**{name: f"CAST(sum({_ROOMY.format(name)}) AS BIGINT)" for name in ("amount", "removed")})
_TELLERS = (BY_SERVER, AT_ONCE, BY_CLIENT)

#: Of `exposures`, `outcomes` and `totals`, `metrics` and `arms`: what is asked more than once, to be found in order.
STEPS = {"exposed": _EXPOSED, "reached": _REACHED}

#: Of all of these the rows of a cube.
CUBE = f"""
WITH shortened AS (
    SELECT visitor FROM totals WHERE total <> 0 GROUP BY visitor
),
places AS (
    SELECT {_PLACE}, count(*) AS n,
        sum(CASE WHEN removed_n > 0 OR shortened.visitor IS NOT NULL THEN 1 ELSE 0 END) AS removed_n
    FROM exposed
    LEFT JOIN shortened ON shortened.visitor = exposed.visitor
    GROUP BY {_PLACE}
),
measured AS (
    SELECT {_PLACE}, metric, value, removed
    FROM reached
    JOIN exposed ON exposed.visitor = reached.visitor
    UNION ALL
    SELECT {_PLACE}, metric, n AS value, removed_n AS removed
    FROM exposed
    JOIN metrics ON metric = '{EXPOSURES}'
    UNION ALL
    SELECT {_PLACE}, metrics.metric,
        gain * coalesce(goals.value, 0) - cost * n AS value,
        gain * coalesce(goals.removed, 0) - cost * removed_n AS removed
    FROM exposed
    JOIN metrics ON metrics.metric = '{PROFIT}'
    JOIN arms ON arms.name = exposed.arm
    LEFT JOIN reached AS goals ON goals.visitor = exposed.visitor AND goals.is_goal
),
sums AS (
    SELECT {_PLACE}, metric, {_SUMS}
    FROM measured
    GROUP BY {_PLACE}, metric
),
told AS (
    SELECT {_PLACE}, teller, count(*) AS n
    FROM reached
    JOIN exposed ON exposed.visitor = reached.visitor
    WHERE teller IS NOT NULL
    GROUP BY {_PLACE}, teller
)
SELECT {", ".join(f"places.{name}" for name in _COLUMNS)}, metrics.metric, places.n,
    coalesce(total, 0) AS total, coalesce(total_squares, 0) AS total_squares, places.removed_n,
    coalesce(removed_total, 0) AS removed_total, coalesce(removed_total_squares, 0) AS removed_total_squares
FROM places
CROSS JOIN metrics
LEFT JOIN sums ON {" AND ".join(f"sums.{name} = places.{name}" for name in _COLUMNS)}
    AND sums.metric = metrics.metric
UNION ALL
SELECT {_PLACE}, CASE teller {" ".join(f"WHEN {place} THEN '{name}'" for place, name in enumerate(_TELLERS))} END,
    n, n, n, 0, 0, 0
FROM told
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
