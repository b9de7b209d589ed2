"""Alternatives: the policies that a past could have had, and what each would have earned, or why nobody knows. Pure."""

from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.replay.context_past import ContextPast
from experiments.replay.context_past import LEAST_OF_CONTEXT
from experiments.replay.past import Past
from stats.off_policy import Log
from stats.off_policy import Mean
from stats.off_policy import averages
from stats.off_policy import best
from stats.off_policy import doubly_robust
from stats.off_policy import effective_size
from stats.off_policy import misfit
from stats.off_policy import observed
from stats.off_policy import self_normalised

Array = NDArray[np.float64]

Kind = Literal["logged", "arm", "tailored", "uniform", "best", "best_by_profit", "epsilon_greedy", "best_by_context"]
Cause = Literal["unreachable", "propensities", "one_day", "too_few_visitors", "too_few_conversions", "not_stored"]

#: Fewer visitors or conversions than these tell no more than chance does.
LEAST_VISITORS = 100
LEAST_CONVERSIONS = 10
#: Of the visitors that are judged, those whose rows must still be here for their contexts to speak for all.
_LEAST_STORED = 0.9
#: Standard errors by which visitors may miss their propensities before these are not believed.
_MOST_ERRORS = 5


@dataclass(frozen=True)
class Figures:
    """A mean per visitor, and its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Worth:
    """What a policy would have earned by one measure, per visitor.

    `gain` is over the reference, None where that is not known; `self_normalised` is the mean by the other estimator.
    """

    mean: float
    low: float
    high: float
    self_normalised: float
    gain: Figures | None


@dataclass(frozen=True)
class Unanswered:
    """Why the past cannot tell."""

    code: Cause
    detail: str


@dataclass(frozen=True)
class Alternative:
    """A policy and what it would have earned, by measure; or why that is not known.

    `arm` is the one that everybody would have had; `choices` are the arms of contexts that are given one alone, none
    where the context is too small to be shown. `over_best` is what the best for each context gains over the best for
    each segment, among the same visitors; None of every other policy.
    """

    policy: Kind
    arm: str | None
    effective_visitors: float
    worth: Mapping[str, Worth]
    choices: Mapping[str, str]
    unanswered: Unanswered | None
    over_best: Figures | None = None


class _Candidate(NamedTuple):
    kind: Kind
    arm: int | None
    policy: Array


class _Judge:
    """A past, with all that its candidates have in common worked out."""

    def __init__(self, past: Past) -> None:
        self.past = past
        self.means = {name: averages(log, shape=past.shape) for name, log in past.logs.items()}
        self.misfit = misfit(past.logs["goal"], contexts=len(past.contexts), arms=len(past.arms))
        self.reference = everybody(past, past.mass)

    def worth(self, candidate: _Candidate) -> dict[str, Worth]:
        return {name: self._worth(name, log, candidate) for name, log in self.past.logs.items()}

    def _worth(self, name: str, log: Log, candidate: _Candidate) -> Worth:
        fixed = self._fixed(name, candidate.policy)
        gain = None
        if self.unanswered(_Candidate("arm", self.past.mass, self.reference)) is None:
            over = doubly_robust(log, candidate.policy - self.reference, self.means[name])
            gain = _less(over, fixed - self._fixed(name, self.reference))
        mean = _less(doubly_robust(log, candidate.policy, self.means[name]), fixed)
        return Worth(mean.mean, mean.low, mean.high, self_normalised(log, candidate.policy).mean - fixed, gain)

    def _fixed(self, measure: str, policy: Array) -> float:
        """What making the policy's messages costs, a visitor."""
        if measure != "profit":
            return 0.0
        is_used = (policy * self.past.visitors_by_context[:, None]).sum(axis=(0, 1)) > 0
        return float(self.past.fixed_costs[is_used].sum()) / self.past.visitors

    def unanswered(self, candidate: _Candidate) -> Unanswered | None:
        return next(self._doubts(candidate), None)

    def _doubts(self, candidate: _Candidate) -> Iterator[Unanswered]:
        past, log = self.past, self.past.logs["goal"]
        if candidate.kind in ("best", "best_by_profit", "epsilon_greedy") and past.folds < 2:
            yield Unanswered("one_day", "all came on one day: no other day tells whether what won there wins again")
        for context, arm in np.argwhere(candidate.policy.max(axis=0) > 0).tolist():
            yield from self._place_doubts(context, arm)
        size = effective_size(log, candidate.policy)
        if size < LEAST_VISITORS:
            yield Unanswered(
                "too_few_visitors", f"the log tells as much as {size:.0f} visitors would, must be {LEAST_VISITORS}"
            )
        yield from _rare(log, candidate.policy)

    def _place_doubts(self, context: int, arm: int) -> Iterator[Unanswered]:
        past = self.past
        names = f"{past.arms[arm]} in {past.contexts[context]}"
        lacking = past.unreachable[context, arm]
        if lacking:
            visitors = past.visitors_by_context[context]
            yield Unanswered("unreachable", f"{names}: {lacking:,.0f} of {visitors:,.0f} visitors cannot have had it")
        errors = self.misfit[context, arm]
        if abs(errors) > _MOST_ERRORS:
            yield Unanswered(
                "propensities", f"{names}: visitors had it {abs(errors):.0f} standard errors "
                f"{'more' if errors > 0 else 'less'} often than the propensities say"
            )


def alternatives(past: Past, *, epsilon: float, roles: Mapping[str, str], min_cell: int) -> list[Alternative]:
    """Every alternative, what was done first.

    `roles` are those of arms: everybody may be given any that is not tailored; without tailored arms there is no
    tailored policy. `epsilon` is the share of the policy that gives the best arm but for that share.
    """
    judge = _Judge(past)
    found = [_as_logged(past)]
    for candidate in _candidates(judge, epsilon=epsilon, roles=roles):
        unanswered = judge.unanswered(candidate)
        found.append(
            Alternative(
                candidate.kind,
                None if candidate.arm is None else past.arms[candidate.arm],
                effective_size(past.logs["goal"], candidate.policy),
                {} if unanswered else judge.worth(candidate),
                {} if unanswered else _choices(past, candidate.policy, min_cell=min_cell),
                unanswered,
            )
        )
    return found


def best_by_context(found: ContextPast | None, *, visitors: float) -> Alternative:
    """The best for each context, chosen by either half of the visitors for the other; `visitors` are all judged."""
    unstored = _unstored(found, visitors=visitors)
    if unstored or found is None:
        return Alternative("best_by_context", None, 0.0, {}, {}, unstored)
    judge, by_segment = _Judge(found.past), found.best_by_segment()
    judge.misfit = found.misfit()
    policy = np.where(found.has_own[:, None], best(judge.means["goal"], found.past.is_open), by_segment)
    candidate = _Candidate("best_by_context", None, policy)
    log, unanswered = found.past.logs["goal"], judge.unanswered(candidate)
    return Alternative(
        candidate.kind,
        None,
        effective_size(log, policy),
        {} if unanswered else judge.worth(candidate),
        {} if unanswered else _agreed(found, policy),
        unanswered,
        None if unanswered else _less(doubly_robust(log, policy - by_segment, judge.means["goal"]), 0.0),
    )


def _unstored(found: ContextPast | None, *, visitors: float) -> Unanswered | None:
    """Whether too few rows are left, and whether any context has visitors enough."""
    stored = 0.0 if found is None else found.past.visitors
    if found is None or stored < _LEAST_STORED * visitors:
        return Unanswered(
            "not_stored", f"the rows of {stored:,.0f} of {visitors:,.0f} visitors are in this database, must be "
            f"{_LEAST_STORED:.0%}"
        )
    if not found.has_own.any():
        return Unanswered("too_few_visitors", f"no context has the {LEAST_OF_CONTEXT} visitors that it must have")
    return None


def _agreed(found: ContextPast, policy: Array) -> dict[str, str]:
    """The arm of each context on which both halves agree."""
    is_both = (policy == 1).all(axis=0)
    return {
        found.past.contexts[row]: found.past.arms[int(is_both[row].argmax())]
        for row in np.flatnonzero(found.has_own & is_both.any(axis=1)).tolist()
    }


def _as_logged(past: Past) -> Alternative:
    worth = {}
    for name, log in past.logs.items():
        fixed = float(past.fixed_costs.sum()) / past.visitors if name == "profit" else 0.0
        mean = _less(observed(log), fixed)
        worth[name] = Worth(mean.mean, mean.low, mean.high, mean.mean, None)
    return Alternative("logged", None, past.visitors, worth, {}, None)


def _candidates(judge: _Judge, *, epsilon: float, roles: Mapping[str, str]) -> Iterator[_Candidate]:
    past = judge.past
    for number, arm in enumerate(past.arms):
        if roles.get(arm) != "tailored":
            yield _Candidate("arm", number, everybody(past, number))
    is_tailored = np.array([roles.get(arm) == "tailored" for arm in past.arms])
    if is_tailored.any():
        yield _Candidate("tailored", None, _tailored(past, is_tailored))
    even = _even(past, past.is_open)
    yield _Candidate("uniform", None, even)
    leading = best(judge.means["goal"], past.is_open)
    yield _Candidate("best", None, leading)
    if "profit" in past.logs:
        yield _Candidate("best_by_profit", None, best(judge.means["profit"], past.is_open))
    yield _Candidate("epsilon_greedy", None, (1 - epsilon) * leading + epsilon * even)


def everybody(past: Past, arm: int) -> Array:
    """The policy that gives everybody one arm."""
    policy = np.zeros(past.shape)
    policy[:, :, arm] = 1
    return policy


def _even(past: Past, among: NDArray[np.bool_]) -> Array:
    shares = among / among.sum(axis=1, keepdims=True)
    return np.broadcast_to(shares, past.shape).copy()


def _tailored(past: Past, is_tailored: NDArray[np.bool_]) -> Array:
    """Each context its own arms; those that have none, the mass arm."""
    own = past.is_open & is_tailored
    own[~own.any(axis=1), past.mass] = True
    return _even(past, own)


def _choices(past: Past, policy: Array, *, min_cell: int) -> dict[str, str]:
    """The one arm of each context, as most folds have it."""
    visitors, shares = past.visitors_by_context, policy.mean(axis=0)
    return {
        context: past.arms[int(shares[row].argmax())]
        for row, context in enumerate(past.contexts)
        if visitors[row] >= max(1, min_cell) and (policy[:, row] == 1).any(axis=1).all()
    }


def _less(mean: Mean, cost: float) -> Figures:
    return Figures(mean.mean - cost, mean.low - cost, mean.high - cost)


def _rare(log: Log, policy: Array) -> Iterator[Unanswered]:
    """Of a rate, whether the policy's arms have met too few conversions for an interval."""
    has_it = policy[log.fold, log.context, log.arm] > 0
    n, total, squares = (float(column[has_it].sum()) for column in (log.n, log.total, log.total_squares))
    fewest = min(total, n - total)
    if total == squares and fewest < LEAST_CONVERSIONS:
        yield Unanswered(
            "too_few_conversions",
            f"{total:,.0f} of {n:,.0f} visitors who had its arms reached the goal: at least {LEAST_CONVERSIONS} must "
            "have, and as many must not",
        )
