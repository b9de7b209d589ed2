"""Cubes by an oracle: histories of a few visitors with whatever texts and numbers, drawn by a seed, added up in turn.

`python -m tests.experiments.cube_oracle FOLDER ENGINE SEED…` prints how many rows of cubes an engine finds as the
oracle does; it ends with status 1 where one differs.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any
from typing import NamedTuple

from experiments.counting import EXPOSURES
from experiments.counting import PROFIT
from experiments.counting import teller
from experiments.storage.cubes import ArmTerms
from experiments.storage.cubes import CubeRow
from experiments.storage.cubes import MetricTerms
from experiments.storage.cubes import Terms
from experiments.storage.history_folder import engine_of
from experiments.storage.history_rows import HistoryExposure
from experiments.storage.history_rows import HistoryOutcome
from experiments.storage.history_rows import HistoryTotal
from experiments.storage.history_rows import columns_of
from experiments.storage.history_tables import write_columns

#: What a careless reader would take for something else, or for the same.
TEXTS = (
    "", "NULL", "null", "None", "nan", "\\N", "it's", '"', "a,b", "a\nb", "a\r\n", "a\tb", "a ", "a", "A", "é",
    "e\u0301", "\u0000", "\U0001f600", "${x}", "%s", "'; DROP TABLE exposures; --", "received=2026-01-01", "../..",
    "0", "-0",
)
_HOUR = 3_600_000
_GOAL = MetricTerms("goal", hears_clients=True, window_ms=24 * _HOUR, most=1, is_goal=True, is_watched=True)
_BACK = MetricTerms("back", hears_clients=True, from_ms=24 * _HOUR, window_ms=48 * _HOUR, most=1)
_SPEND = MetricTerms("it's spent", window_ms=36 * _HOUR, most=2**62)
TERMS = Terms(
    [_GOAL, _BACK, _SPEND, MetricTerms(EXPOSURES), MetricTerms(PROFIT)],
    [ArmTerms(text, gain=2**30 - place, cost=place**5) for place, text in enumerate(TEXTS)],
)
_AMOUNTS = (0, 1, 1, -1, 7, -250)
_LARGE = (*_AMOUNTS, 2**58, -(2**58))


class SmallHistory(NamedTuple):
    """The rows of a history, by table."""

    exposures: Sequence[HistoryExposure]
    outcomes: Sequence[HistoryOutcome]
    totals: Sequence[HistoryTotal]

    def written(self, folder: Path) -> Mapping[str, Sequence[Path]]:
        """Its files: a table in two, of which one may be empty."""
        return {table: list(_written(folder / table, table, rows)) for table, rows in self._asdict().items()}


def _written(folder: Path, table: str, rows: Sequence[Any]) -> Iterator[Path]:
    for name, part in (("0", rows[::2]), ("1", rows[1::2])):
        write_columns(folder / f"{name}.parquet", table, columns_of(table, part))
        yield folder / f"{name}.parquet"


def small_history(seed: int, *, visitors: int = 8) -> SmallHistory:
    """A history of some visitors: exposed, exposed again, never exposed, partly removed, with outcomes at any time."""
    rng = Random(seed)
    names = [f"{rng.choice(TEXTS)}{number}" for number in range(visitors)]
    numbers = list(range(1, 6 * visitors))
    rng.shuffle(numbers)
    exposures = [_exposure(rng, rng.choice(names), numbers.pop()) for _ in range(visitors)]
    removed = [_exposure(rng, name, 0)._replace(n=rng.randint(1, 3)) for name in names if rng.random() < 0.3]
    outcomes = [_outcome(rng, rng.choice(names), numbers.pop()) for _ in range(3 * visitors)]
    totals = [
        HistoryTotal(row.visitor, metric.metric, _amount(rng, metric))
        for row in removed for metric in TERMS.metrics[:3] if rng.random() < 0.5
    ]
    return SmallHistory([*exposures, *removed], outcomes, totals)


def _exposure(rng: Random, visitor: str, number: int) -> HistoryExposure:
    at_ms = rng.randrange(48) * _HOUR
    return HistoryExposure(
        number, visitor, rng.choice(TEXTS[:4]), rng.choice(TEXTS), rng.randint(1, 2), 5000, at_ms // (24 * _HOUR),
        at_ms, at_ms if number else 0, rng.random() < 0.2, rng.choice(TEXTS), rng.randrange(2), 1,
    )


def _outcome(rng: Random, visitor: str, number: int) -> HistoryOutcome:
    at_ms = rng.randrange(96) * _HOUR + rng.choice((0, 1, 59_999, 60_000))
    metric = rng.choice((*TERMS.metrics[:3], MetricTerms("of another document")))
    received_ms = at_ms + rng.choice((0, 30 * _HOUR))
    return HistoryOutcome(
        number, visitor, "Bought", metric.metric, _amount(rng, metric), at_ms, received_ms, rng.random() < 0.5
    )


def _amount(rng: Random, metric: MetricTerms) -> int:
    return rng.choice(_LARGE if metric == _SPEND else _AMOUNTS)


def expected_cube(history: SmallHistory) -> list[CubeRow]:
    """What a history comes to, visitor by visitor."""
    cube: dict[tuple[Any, ...], list[int]] = {}
    met: dict[str, list[HistoryExposure]] = defaultdict(list)
    for exposure in history.exposures:
        met[exposure.visitor].append(exposure)
    for exposures in met.values():
        first = min(exposures)
        place = first.epoch, first.day, first.segment, first.arm, first.asserted, first.context, first.half
        for metric, figures in _of_visitor(history, exposures):
            sums = cube.setdefault((*place, metric), [0] * 6)
            sums[:] = map(sum, zip(sums, figures, strict=True))
    return sorted(CubeRow(*place, *sums) for place, sums in cube.items())


def _of_visitor(history: SmallHistory, exposures: Sequence[HistoryExposure]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """What one visitor adds to a cube, by metric."""
    first, n = min(exposures), sum(row.n for row in exposures)
    removed_n = sum(row.n for row in exposures if row.number == 0)
    before = {row.metric: row.total for row in history.totals if row.visitor == first.visitor}
    is_short = int(removed_n > 0 or any(before.values()))
    values = {EXPOSURES: (n, removed_n)}
    for metric in TERMS.metrics[:3]:
        heard = [row for row in history.outcomes if _counts(row, first, metric)]
        removed = before.get(metric.metric, 0)
        total = removed + sum(row.amount for row in heard)
        values[metric.metric] = min(total, metric.most), min(removed, metric.most)
        told = min((row for row in heard if row.amount), default=None)
        if metric.is_watched and told and not removed:
            yield teller(trusted=told.trusted, exposed_ms=first.at_ms, at_ms=told.at_ms), (1, 1, 1, 0, 0, 0)
    arm = TERMS.arms[TEXTS.index(first.arm)]
    (goal, removed_goal) = values[_GOAL.metric]
    values[PROFIT] = arm.gain * goal - arm.cost * n, arm.gain * removed_goal - arm.cost * removed_n
    for name, (value, gone) in values.items():
        yield name, (1, value, value**2, is_short, gone, gone**2)


def _counts(row: HistoryOutcome, first: HistoryExposure, metric: MetricTerms) -> bool:
    is_of_it = row.visitor == first.visitor and row.metric == metric.metric
    waited = row.number < first.number and row.received_ms + metric.window_ms <= first.received_ms
    is_in_window = metric.from_ms <= row.at_ms - first.at_ms < metric.window_ms
    return is_of_it and is_in_window and not waited and (row.trusted or metric.hears_clients)


def overflowing(*amounts: int, visitors: int = 1) -> SmallHistory:
    """A history in which each visitor spent these amounts."""
    numbers = iter(range(1, 1000))
    exposures = [
        HistoryExposure(next(numbers), str(name), "", "", 1, 5000, 0, 0, 0, False, "", 0, 1) for name in range(visitors)
    ]
    outcomes = [
        HistoryOutcome(next(numbers), str(name), "Bought", _SPEND.metric, amount, 1, 1, True)
        for name in range(visitors) for amount in amounts
    ]
    return SmallHistory(exposures, outcomes, [])


def main(folder: str, engine: str, *seeds: str) -> None:
    """Hold an engine against the oracle."""
    for seed in seeds:
        history = small_history(int(seed), visitors=200)
        found, expected = engine_of(engine).cube(history.written(Path(folder) / seed), TERMS), expected_cube(history)
        assert found == expected, sorted(set(found) ^ set(expected))[:5]
        print(len(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
