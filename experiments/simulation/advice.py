"""Advice: what a pre-flight's figures mean for the campaign, in sentences. Pure."""

import math
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.contests import ALPHA
from experiments.durations import format_duration
from experiments.headlines import listed
from experiments.policy_kinds import FIXED
from experiments.policy_kinds import usable_kinds
from experiments.simulation.effects import Effect
from experiments.simulation.effects import POWER
from experiments.simulation.effects import seen_share
from experiments.simulation.forecasts import Forecast
from experiments.simulation.forecasts import TakingsForecast
from experiments.simulation.outcomes import Plan

#: What a policy must win over an even split: so many errors of the simulation, and so large a part of the total.
_ERRORS = 3.0
_PART = 0.005
#: Below this share of the conversions, or chance that weights move, a policy has nothing to go by.
_LEAST_SEEN = 0.5
_LEAST_MOVED = 0.5
#: A chance of a verdict below this is not one to rely on.
_LIKELY = 0.8

_OF_FIXED = {"fixed": "an even split", "shares": "your shares"}


@dataclass(frozen=True)
class Advice:
    """The policy to use, and why; the sentence that matters most comes first."""

    policy: str
    sentences: tuple[str, ...]


def policy_name(policy: str) -> str:
    """A policy as people call it."""
    kind = usable_kinds().get(policy)
    return _OF_FIXED.get(policy) or kind and kind.called or policy


def advise(plan: Plan, forecasts: Sequence[Forecast], effects: Sequence[Effect]) -> Advice:
    """The advice that follows from the forecasts, of which the first is the even split."""
    even, bandits = forecasts[0], [one for one in forecasts if one.policy not in (FIXED, "shares")]
    best = _best(plan, bandits)
    against = next(_against_bandits(plan, best, bandits), None)
    chosen = best if against is None else even
    first = _use(plan, best, even) if against is None else f"Do not use a bandit here: {against}"
    rest = [*_verdict(plan, chosen), *_too_small(effects), *_dear(effects), *_barren(plan), *_coarse(plan, forecasts)]
    return Advice(chosen.policy, (first, *rest))


def _best(plan: Plan, policies: Sequence[Forecast]) -> Forecast:
    """The policy that wins most; the document's own where that is not clearly worse."""
    best = max(policies, key=lambda one: _takings(plan, one).won)
    kind = "thompson" if _is_coarse(plan, policies) else plan.experiment.policy.kind
    own = next((one for one in policies if one.policy == kind), best)
    ahead = _takings(plan, best).won - _takings(plan, own).won
    return best if ahead > _ERRORS * math.hypot(_takings(plan, best).error, _takings(plan, own).error) else own


def _takings(plan: Plan, of: Forecast) -> TakingsForecast:
    return of.profit if plan.experiment.objective == "profit" and of.profit is not None else of.goals


def _against_bandits(plan: Plan, best: Forecast, bandits: Sequence[Forecast]) -> Iterator[str]:
    """The reasons not to move traffic, the plainest first."""
    seen, days = seen_share(plan), plan.days
    if not plan.truth.tailored:
        yield "no arm is tailored to a segment, so there is nothing to find out for whom tailoring pays."
    if seen < _LEAST_SEEN:
        delay = format_duration(round(plan.world.delay_seconds))
        yield (
            f"conversions take {delay} on average, and only {seen:.0%} of them come within the {days} days, "
            "too late to steer by. Split evenly."
        )
    if max(one.moved for one in bandits) < _LEAST_MOVED:
        yield f"in {days} days too few conversions come for any policy to move its weights. Split evenly."
    takings = _takings(plan, best)
    if takings.won < max(_ERRORS * takings.error, _PART * abs(takings.mean)):
        yield (
            f"an even split brings as much as {policy_name(best.policy)} does, but for the noise, "
            "and tells more about every arm."
        )


def _use(plan: Plan, best: Forecast, even: Forecast) -> str:
    takings = _takings(plan, best)
    is_money = takings is best.profit or plan.experiment.goal.unit == "money"
    what = f"{plan.experiment.currency} {takings.won:,.0f}" if is_money else f"{takings.won:,.0f} conversions"
    price = (
        f" Its price is certainty: it is right about every segment in {best.right:.0%} of campaigns, "
        f"an even split in {even.right:.0%}."
        if best.right < even.right - 0.05
        else ""
    )
    return (
        f"Use {policy_name(best.policy)}: in {plan.days} days it is expected to win {what} "
        f"({takings.won / abs(takings.mean - takings.won or 1):+.1%}) over an even split.{price}"
    )


def _verdict(plan: Plan, chosen: Forecast) -> Iterator[str]:
    if not chosen.segments:
        return
    decided = 1 - max(one.undecided for one in chosen.segments)
    if chosen.days.median is None:
        yield (
            f"Do not expect a verdict on every segment: by day {plan.days} half of the campaigns do not have one. "
            "Let it run longer, reach more people, or join segments."
        )
    else:
        until = f"day {chosen.days.high:.0f}" if chosen.days.high is not None else f"later than day {plan.days}"
        yield (
            f"Expect a verdict on every segment after about {chosen.days.median:.0f} days "
            f"(in 80 % of campaigns from day {chosen.days.low:.0f} to {until})."
        )
    if chosen.wrong > ALPHA:
        yield f"In {chosen.wrong:.0%} of campaigns some segment's verdict is wrong: more than should be."
    doubtful = [one.segment for one in chosen.segments if one.right < _LIKELY]
    if doubtful and decided:
        yield f"The chance of the right verdict is below {_LIKELY:.0%} for {listed(doubtful)}."


def _too_small(effects: Sequence[Effect]) -> Iterator[str]:
    small = [one for one in effects if one.assumed is not None and one.assumed > 0 and not one.is_found]
    if small:
        largest = max(math.inf if one.detectable is None else one.detectable for one in small)
        least = "none at all" if math.isinf(largest) else f"an uplift of {largest:.0%}"
        assumed = min(one.assumed or 0.0 for one in small)
        yield (
            f"The assumed effect is small for so few visitors: with an even split {POWER:.0%} of campaigns would find "
            f"{least}, and {assumed:.0%} is assumed for {listed(list(dict.fromkeys(one.segment for one in small)))}."
        )


def _dear(effects: Sequence[Effect]) -> Iterator[str]:
    for one in effects:
        if one.break_even is not None and not one.pays:
            yield (
                f"{one.arm} does not repay its cost for {one.segment}: it must do {one.break_even:.0%} better than the "
                f"one message, and {one.assumed:.0%} is assumed."
            )


def _barren(plan: Plan) -> Iterator[str]:
    if plan.truth.barren:
        yield f"No message earns what it costs in {listed(sorted(plan.truth.barren))}: send nothing there."


def _coarse(plan: Plan, forecasts: Sequence[Forecast]) -> Iterator[str]:
    if _is_coarse(plan, forecasts):
        yield (
            "Weights by context are not simulated here: what is said of Thompson sampling is by segment. Attributes "
            "that matter inside segments bring more than that, others cost up to 2 %. `bespoke simulate` simulates "
            "both."
        )


def _is_coarse(plan: Plan, forecasts: Sequence[Forecast]) -> bool:
    """Whether the document's policy is by context, and simulated by segment only."""
    kind = plan.experiment.policy.kind
    return plan.experiment.is_contextual and all(one.policy != kind for one in forecasts)
