"""Diagnostics: whether the report's figures may be believed."""

from collections import defaultdict
from collections.abc import Iterator
from collections.abc import Mapping
from math import log

import numpy as np
from numpy.typing import NDArray

from experiments.allocation import GRAIN
from experiments.columns import NO_CELLS
from experiments.columns import Columns
from experiments.columns import Table
from experiments.counting import EXPOSURES
from experiments.inputs import last_open_day
from experiments.model import Experiment
from experiments.readings import Readings
from experiments.report_shape import Diagnostics
from experiments.report_shape import SampleRatio
from experiments.strata import ArmStrata
from experiments.strata import segment_strata
from experiments.times import iso
from stats.mixtures import mean_evidence
from stats.sample_ratio import combine
from stats.sample_ratio import sample_ratio_test
from stats.sample_ratio import share_evidence

Array = NDArray[np.float64]

#: The log evidence that is an alarm: of sound experiments at most 1 in 500 ever reaches it, however often one looks.
ALARM = log(500)

#: The chi-square is not to be trusted where an arm should have had fewer visitors than this.
_FEWEST_EXPECTED = 5


def diagnose(readings: Readings, columns: Table) -> Diagnostics:
    """The report's diagnostics."""
    notes = interval_notes(readings, columns)
    return {
        "alarm": readings.restraints.alarm,
        "refused": readings.restraints.refused,
        "sample_ratio": sample_ratio(readings, columns[EXPOSURES]),
        "matured_share": matured_share(readings, columns[EXPOSURES]),
        "waiting": readings.waiting,
        "orphans": readings.orphans,
        "duplicates": readings.counters.get("duplicates", 0),
        "rejected": readings.counters.get("rejected", 0),
        "asserted": readings.asserted,
        "complete": readings.is_complete,
        "lost_spools": [
            {"since": iso(lost.since_ms), "accepted": iso(lost.accepted_ms)} for lost in readings.lost_spools
        ],
        "intervals_valid": not notes,
        "notes": notes,
    }


#: Visitors by epoch and segment, and there by arm.
_Visitors = dict[tuple[int, str, str | None], dict[str, int]]


def sample_ratio(readings: Readings, exposures: Columns) -> SampleRatio:
    """Visitors against weights: Pearson's test as of now, and whether the evidence has reached an alarm."""
    visitors = _by_place(exposures)
    tests = [
        sample_ratio_test(*groups)
        for (epoch, segment, context), counts in visitors.items()
        if (groups := _groups(counts, readings.allocations[epoch].of(segment, context)))
    ]
    p_value = combine([test.statistic for test in tests], [test.degrees for test in tests]).p_value
    return {"p_value": p_value, "alarm": sample_ratio_evidence(readings, exposures) >= ALARM}


def sample_ratio_evidence(readings: Readings, exposures: Columns) -> float:
    """Log evidence that some arm does not get its share, by epoch and segment.

    Visitors keep the epoch that drew their arm, so that late exposures do no harm.
    """
    strata: dict[str, list[tuple[Array, Array, Array]]] = defaultdict(list)
    # Where all visitors were erased nobody is held against weights.
    by_segment = segment_strata(exposures.at(exposures.n > 0), readings.allocations)
    for segment in by_segment.arms:
        for arm, columns in _contested(by_segment.of(segment)):
            strata[arm].append(columns)
    return mean_evidence([share_evidence(*map(np.concatenate, zip(*found, strict=True))) for found in strata.values()])


def _contested(found: ArmStrata) -> Iterator[tuple[str, tuple[Array, Array, Array]]]:
    """Each arm's visitors, those of others and its share, where it had a share and another one too."""
    _, (visitors, propensity, n, *_), _ = found
    is_open = propensity > 0
    told = is_open & (is_open.sum(axis=1) > 1)[:, None]
    for column, arm in enumerate(found.arms):
        rows = told[:, column]
        if rows.any():
            own = n[rows, column]
            yield arm, (own, visitors[rows] - own, propensity[rows, column])


def _by_place(exposures: Columns) -> _Visitors:
    visitors: _Visitors = defaultdict(dict)
    columns = exposures.epoch.tolist(), exposures.segment, exposures.contexts(), exposures.arm, exposures.n.tolist()
    for epoch, segment, context, arm, n in zip(*columns, strict=True):
        place = visitors[epoch, segment, context]
        place[arm] = place.get(arm, 0) + round(n)
    return visitors


def _groups(counts: Mapping[str, int], weights: Mapping[str, int]) -> tuple[list[int], list[float]] | None:
    """Visitors and shares of the arms that can be tested, the rarest lumped into one."""
    total = sum(counts.values())
    pairs = sorted((weight / GRAIN, counts.get(arm, 0)) for arm, weight in weights.items())
    share, count = pairs.pop(0)
    while pairs and share * total < _FEWEST_EXPECTED:
        more_share, more_count = pairs.pop(0)
        share, count = share + more_share, count + more_count
    groups = [(share, count), *pairs]
    if len(groups) < 2:
        return None
    return [count for _, count in groups], [share for share, _ in groups]


def matured_share(readings: Readings, exposures: Columns) -> float | None:
    """The share of visitors whose goal window has closed; None without visitors."""
    before = last_open_day(readings.experiment.goal, now_ms=readings.now_ms)
    everybody = float(exposures.n.sum())
    return float(exposures.n[exposures.day < before].sum()) / everybody if everybody else None


def interval_notes(readings: Readings, columns: Table) -> list[str]:
    """Where 95 % intervals cannot be promised: rare conversions on arms that the policy may starve.

    Fixed by design, before any arm's outcome is known: visitors x smallest share x rate pooled over arms below 1.
    """
    experiment = readings.experiment
    if experiment.policy.kind == "fixed" or experiment.goal.unit != "rate":
        return []
    goal = columns[experiment.goal.key].by_segment()
    return [
        f"Too few conversions are to be expected for {segment} to promise what its intervals say."
        for segment in experiment.segment_keys
        if len(experiment.open_arms(segment)) > 1 and _is_starved(experiment, goal.get(segment, NO_CELLS))
    ]


def _is_starved(experiment: Experiment, goal: Columns) -> bool:
    return bool(goal.n.any() and goal.total.sum() * experiment.policy.min_share < 1)
