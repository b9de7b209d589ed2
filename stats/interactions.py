"""For which visitors does one of two arms bring more, relative to the other arm, than for the rest?

A group of contexts is contrasted with the rest by a score test (R. E. Tarone, On heterogeneity tests based on efficient
scores, Biometrika 72, 1985) of one common ratio of means: Mantel and Haenszel's (1959,
https://doi.org/10.1093/jnci/22.4.719) over strata in which the arms were given by the same chances, with the variance
that sums have if that ratio holds. A constant relative effect over whatever base rates is no interaction.

Many groups are tried on one half of the visitors, and only what stands out there is tested, on the other half, so that
its size is not that of the luckiest. Among those the share of false ones is held by the rule of Benjamini and Hochberg
(1995, https://doi.org/10.1111/j.2517-6161.1995.tb02031.x).
"""

from collections.abc import Iterator
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
import scipy

Array = NDArray[np.float64]
Codes = NDArray[np.intp]
Mask = NDArray[np.bool_]

#: Both arms together must have met the goal so often in a group, and in the rest; below that, z is no normal deviate.
FEWEST_MET = 10
#: Of groups by columns, so that no table of many strata takes more than some ten megabytes.
_AT_ONCE = 1 << 19
_QUANTILE = NormalDist().inv_cdf(0.975)


class Cells(NamedTuple):
    """What two arms have brought, an entry for each context in each stratum.

    Attributes:
        context, stratum: which, from 0 on.
        part: of the experiment, in which the stratum is; what differs from part to part is known, and not looked for.
        n, total, total_squares: visitors, and the sums of their values and squared values; a row for the reference
            and one for the other arm.
    """

    context: Codes
    stratum: Codes
    part: Codes
    n: Array
    total: Array
    total_squares: Array


class Contrasts(NamedTuple):
    """Groups against the rest, an entry for each group.

    Attributes:
        z: above 0 where the arm brings relatively more inside the group; 0 where there are too few to tell.
        n: visitors of both arms inside and outside, as far as they are contrasted; shape (2, groups).
    """

    z: Array
    n: Array


class Ratio(NamedTuple):
    """The arm's mean over that of the reference, with the standard error of its logarithm, over the strata of both.

    Attributes:
        n: visitors of the reference and of the arm.

    What cannot be told is nan.
    """

    ratio: float
    log_error: float
    arm: float
    reference: float
    n: tuple[float, float]

    @property
    def low(self) -> float:
        """The lower end of the 95 % interval."""
        return self.ratio * float(np.exp(-_QUANTILE * self.log_error))

    @property
    def high(self) -> float:
        """The upper end of the 95 % interval."""
        return self.ratio * float(np.exp(_QUANTILE * self.log_error))


class Choice(NamedTuple):
    """A group that stands out, by its place; `sign` is that of its z, `leaves` the parts that it was contrasted in."""

    group: int
    sign: float
    leaves: Codes


def contrasts(cells: Cells, groups: Mask, leaves: Codes, *, smallest: float) -> Contrasts:
    """Contrast groups of contexts with the other contexts of their leaf; shape of `groups`: (groups, contexts).

    Within a leaf of a part the ratio is one, from one to the next it may differ. A contrast tells nothing where it has
    fewer than `smallest` visitors inside or outside, or too few who met the goal.
    """
    if not len(cells.context):
        return Contrasts(np.zeros(len(groups)), np.zeros((2, len(groups))))
    table = _Table.of(cells, leaves)
    at_once = max(1, _AT_ONCE // len(table.leaf))
    parts = [table.contrasts(groups[start : start + at_once]) for start in range(0, len(groups), at_once)]
    z, n, met = (np.concatenate(column, axis=-1) for column in zip(*parts, strict=True))
    tells = (n >= smallest).all(axis=0) & (met >= FEWEST_MET).all(axis=0)
    return Contrasts(np.where(tells, z, 0.0), n)


def unions(cells: Cells, groups: Mask, *, most: int, smallest: float) -> Iterator[tuple[int, ...]]:
    """The groups, by their places, that stand out together: the one that does most, and what lets it stand out more.

    Of those where the arm does better, and of those where it does worse; so many of them at most.
    """
    alone = contrasts(cells, groups, _together(groups), smallest=smallest).z
    for sign in (1.0, -1.0):
        # What tells nothing of itself adds little to others.
        telling = np.flatnonzero(sign * alone > 1)
        places: tuple[int, ...] = ()
        held, highest = np.zeros(groups.shape[1], np.bool_), 0.0
        while len(places) < most and len(telling):
            z = sign * contrasts(cells, groups[telling] | held, _together(groups), smallest=smallest).z
            best = int(np.argmax(z))
            if z[best] <= highest:
                break
            places, held = (*places, int(telling[best])), held | groups[telling[best]]
            highest = float(z[best])
            if len(places) > 1:
                yield places


def choose(cells: Cells, groups: Mask, costs: Array, *, most: int, smallest: float) -> list[Choice]:
    """The groups that stand out, each beside those before it: what is left when their difference is allowed for.

    The next is that whose squared z exceeds its cost by most, and by more than 1.
    """
    chosen: list[Choice] = []
    leaves = _together(groups)
    while len(chosen) < most:
        z = contrasts(cells, groups, leaves, smallest=smallest).z
        best = int(np.argmax(z**2 - costs))
        if z[best] ** 2 - costs[best] <= 1:
            break
        chosen.append(Choice(best, float(np.sign(z[best])), leaves))
        leaves = np.unique(2 * leaves + groups[best], return_inverse=True)[1]
    return chosen


def p_values(cells: Cells, groups: Mask, choices: Sequence[Choice], *, smallest: float) -> Array:
    """The chance of a contrast at least as large as that of each choice, and of its sign, if there were none.

    A choice has to stand out as a whole, and beside those before it: the larger of the two chances counts.
    """
    p: Array = np.array([_p_value(cells, groups, choice, smallest=smallest) for choice in choices], np.float64)
    return p


def _p_value(cells: Cells, groups: Mask, choice: Choice, *, smallest: float) -> float:
    group = groups[[choice.group]]
    as_a_whole, beside = (
        contrasts(cells, group, leaves, smallest=smallest).z[0]
        for leaves in (_together(groups), choice.leaves)
    )
    return float(scipy.special.ndtr(-min(choice.sign * as_a_whole, choice.sign * beside)))


def _together(groups: Mask) -> Codes:
    """All contexts in one leaf."""
    return np.zeros(groups.shape[1], np.intp)


def discoveries(p: Array, *, rate: float) -> Mask:
    """Which of several tests are discoveries, of which no more than this share are expected to be false."""
    order = np.argsort(p)
    passes = np.flatnonzero(p[order] <= rate * np.arange(1, len(p) + 1) / len(p))
    found = np.zeros(len(p), np.bool_)
    found[order[: passes.max(initial=-1) + 1]] = True
    return found


def ratio(cells: Cells, group: Mask) -> Ratio:
    """The ratio of the arms within a group of contexts."""
    inside = group[cells.context]
    n, total, total_squares = (_by_stratum(sums[:, inside], cells.stratum[inside]) for sums in cells[3:])
    both = (n > 0).all(axis=0)
    n, total = n[:, both], total[:, both]
    weights = _over(n.prod(axis=0), n.sum(axis=0))
    visitors = (float(n[0].sum()), float(n[1].sum()))
    if not (total.sum(axis=1) > 0).all():
        return Ratio(np.nan, np.nan, np.nan, np.nan, visitors)
    reference, arm = ((weights * total / n).sum(axis=1) / weights.sum()).tolist()
    spread = _over(total_squares[:, both].sum(axis=1), total.sum(axis=1))
    variance, slope = _variance_and_slope(n, total, spread, np.array(arm / reference))
    log_error = float(np.sqrt(variance.sum()) / (arm / reference * slope.sum()))
    return Ratio(arm / reference, log_error, arm, reference, visitors)


def _by_stratum(sums: Array, stratum: Codes) -> Array:
    return np.stack([np.bincount(stratum, row, minlength=1) for row in sums])


class _Table(NamedTuple):
    """Sums by context, and by stratum of each leaf; the leaf of each of these, and squares over sums by context."""

    sums: Any
    leaf: Codes
    of_contexts: Array

    @classmethod
    def of(cls, cells: Cells, leaves: Codes) -> "_Table":
        """The table of cells."""
        parts, strata = (int(codes.max(initial=0)) + 1 for codes in (cells.part, cells.stratum))
        leaf = leaves[cells.context] * parts + cells.part
        different, column = np.unique(leaf * strata + cells.stratum, return_inverse=True)
        entries = np.concatenate([cells.n, cells.total]).ravel()
        columns = (np.arange(4)[:, np.newaxis] * len(different) + column).ravel()
        shape = (len(leaves), 4 * len(different))
        sums = scipy.sparse.csr_array((entries, (np.tile(cells.context, 4), columns)), shape=shape)
        of_contexts = np.zeros((len(leaves), 4))
        for place, values in enumerate((*cells.total, *cells.total_squares)):
            of_contexts[:, place] = np.bincount(cells.context, values, minlength=len(leaves))
        return cls(sums, np.unique(different // strata, return_inverse=True)[1], of_contexts)

    def contrasts(self, groups: Mask) -> tuple[Array, Array, Array]:
        """The z of groups; visitors, and how many met the goal, inside and outside of each."""
        inside = (self.sums.T @ groups.T).T.reshape(len(groups), 2, 2, -1)
        everything = np.asarray(self.sums.sum(axis=0)).reshape(1, 2, 2, -1)
        # From here on: side, group, arm, stratum.
        n, total = np.moveaxis(np.stack([inside, everything - inside]), 2, 0)
        return _Sides(n, total, self._spread(groups), self.leaf).contrasts()

    def _spread(self, groups: Mask) -> Array:
        """Squares over sums, by side, group and arm: 1 for a conversion, for a value what it mostly is."""
        inside = groups @ self.of_contexts
        sums = np.stack([inside, self.of_contexts.sum(axis=0) - inside]).reshape(2, len(groups), 2, 2)
        return _over(sums[:, :, 1], sums[:, :, 0])


class _Sides(NamedTuple):
    """Both sides of groups: visitors and sums by (side, group, arm, stratum), squares over sums, the strata's leaves.

    Strata stand in the order of their leaves.
    """

    n: Array
    total: Array
    spread: Array
    leaf: Codes

    def contrasts(self) -> tuple[Array, Array, Array]:
        """The z of groups; visitors, and how many met the goal, inside and outside of each."""
        (n0, n1), (total0, total1) = np.moveaxis(self.n, 2, 0), np.moveaxis(self.total, 2, 0)
        share = _over(1.0, n0 + n1)
        gained, lost = self._by_leaf(n0 * total1 * share), self._by_leaf(n1 * total0 * share)
        common = _over(gained.sum(axis=0), lost.sum(axis=0))
        score = gained[0] - common * lost[0]
        of_strata = _variance_and_slope(self.n, self.total, self.spread, common[np.newaxis, :, self.leaf])
        variance, slope = map(self._by_leaf, of_strata)
        part = _over(slope[0], slope.sum(axis=0))
        both = (slope > 0).all(axis=0)
        spread = np.where(both, (1 - part) ** 2 * variance[0] + part**2 * variance[1], 0.0).sum(axis=-1)
        z = _over(np.where(both, score, 0.0).sum(axis=-1), np.sqrt(spread))
        met = _over(self._by_leaf(self.total), self.spread[..., np.newaxis]).sum(axis=2)
        visitors = np.where(both, self._by_leaf(n0 + n1), 0.0).sum(axis=-1)
        return z, visitors, np.where(both, met, 0.0).sum(axis=-1)

    def _by_leaf(self, values: Array) -> Array:
        """The sums over the strata of each leaf."""
        starts = np.flatnonzero(np.diff(self.leaf, prepend=-1))
        sums: Array = np.add.reduceat(values, starts, axis=-1)
        return sums


def _variance_and_slope(n: Array, total: Array, spread: Array, ratio: Array) -> tuple[Array, Array]:
    """Of the score of each stratum, if the ratio of means is this one: its variance, and its change with the ratio.

    The last axes of `n` and `total` are arm and stratum, that of `spread` is arm.
    """
    (n0, n1), (spread0, spread1) = np.moveaxis(n, -2, 0), np.moveaxis(spread[..., np.newaxis], -2, 0)
    mean0 = _over(total.sum(axis=-2), n0 + ratio * n1)
    mean1 = ratio * mean0
    # Squares over sums are alike wherever visitors mostly bring nothing: the second moment goes with the mean.
    variance0 = np.maximum(spread0 * mean0 - mean0**2, 0.0)
    variance1 = np.maximum(spread1 * mean1 - mean1**2, 0.0)
    share = _over(1.0, n0 + n1)
    variance = n0 * n1 * share**2 * (n0 * variance1 + ratio**2 * n1 * variance0)
    return variance, n0 * n1 * share * mean0


def _over(values: Any, by: Array) -> Array:
    """A quotient, 0 where there is nothing to divide by."""
    quotient: Array = np.zeros(np.broadcast_shapes(np.shape(values), np.shape(by)))
    np.divide(values, by, out=quotient, where=by > 0)
    return quotient
