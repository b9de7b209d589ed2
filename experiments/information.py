"""Information: which epochs a comparison rests on, since an arm that was starved in one tells little of it. Pure."""

from collections.abc import Iterator
from collections.abc import Mapping

import numpy as np

from experiments.columns import Columns
from experiments.model import Allocation
from experiments.model import Experiment
from experiments.report_shape import Information
from experiments.strata import ArmStrata
from experiments.strata import segment_strata

#: Epochs that carry less of a comparison than this are left out of the list.
_LEAST_SHARE = 0.01


def information(
    experiment: Experiment, exposures: Columns, allocations: Mapping[int, Allocation]
) -> list[Information]:
    """For each tailored arm in each segment, the epochs that say something of it against the mass arm, and how much.

    n visitors divided with propensities e and f tell as much of a difference as n / (1/e + 1/f) do of one arm.
    """
    strata = segment_strata(exposures, allocations)
    return [
        {"segment": segment, "arm": arm.key, "first_epoch": first, "last_epoch": last, "share": share}
        for segment in experiment.segment_keys
        for arm in experiment.open_arms(segment)
        if arm.role == "tailored" and segment in strata.arms
        for first, last, share in _shares(strata.of(segment), arm.key, experiment.first_mass.key)
    ]


def _shares(strata: ArmStrata, arm: str, mass: str) -> Iterator[tuple[int, int, float]]:
    both = strata.strata.propensity[:, [strata.arms.index(arm), strata.arms.index(mass)]]
    known = strata.strata.visitors * both.prod(axis=1) / np.maximum(both.sum(axis=1), np.finfo(np.float64).tiny)
    total = float(known.sum())
    for (first, last), amount in zip(strata.epochs.tolist(), known.tolist(), strict=True):
        if total and amount / total >= _LEAST_SHARE:
            yield first, last, amount / total
