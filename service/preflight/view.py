"""A pre-flight in words: how long, how sure, what it costs, and the smallest effect worth testing. Pure."""

from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass

from experiments.metric_kinds import METRIC_KINDS
from experiments.policy_kinds import FIXED
from experiments.policy_kinds import policy_kind
from experiments.simulation.advice import policy_name
from experiments.simulation.effects import Effect
from experiments.simulation.effects import POWER
from experiments.simulation.forecasts import Days
from experiments.simulation.forecasts import Forecast
from experiments.simulation.preflight import Preflight
from experiments.simulation.preflight import SHARES
from service.wording import NOTHING
from service.wording import PLAIN
from service.wording import Unit
from service.wording import chance
from service.wording import count
from service.wording import money_in
from service.wording import share
from service.wording import signed
from service.wording import written


#: What to do, by the policy that is advised; a kind that learns says itself what it does.
_HEADLINES = {FIXED: "Split evenly: moving traffic is not worth it here"}
#: The policies as what they do; what they are called stands beside that.
_DEEDS = {FIXED: "The same share for every message", SHARES: "The shares that you gave"}


@dataclass(frozen=True)
class Row:
    """A row of a table: what it is of, its figures, and what else is to be said of it."""

    name: str
    figures: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class PreflightView:
    """What the page says.

    Attributes:
        headline: what to do, in a few words; `advice` says why, and the rest.
        answers: the questions of a marketer, each with its answer.
        effects: each tailored message for a segment: uplift assumed, found from, paying from.
        policies: each way to share traffic out: days to a verdict, all right, won, cost.
    """

    headline: str
    advice: tuple[str, ...]
    answers: tuple[tuple[str, str], ...]
    effects: tuple[Row, ...]
    policies: tuple[Row, ...]
    note: str


def preflight_view(found: Preflight) -> PreflightView:
    """The page of a pre-flight."""
    return PreflightView(
        headline=_deed(found.advice.policy, _HEADLINES),
        advice=found.advice.sentences,
        answers=tuple(_answers(found)),
        effects=tuple(_effect(effect) for effect in found.effects),
        policies=tuple(_policy(found, policy) for policy in found.policies),
        note=(
            f"From {found.runs} simulated campaigns of each policy over {found.days} days with "
            f"{count(found.assumptions.visitors_per_day)} visitors a day: a rough picture, true as far as what you "
            f"assume is. Found means by {POWER:.0%} of campaigns with an even split."
        ),
    )


def _answers(found: Preflight) -> Iterator[tuple[str, str]]:
    money = money_in(found.currency, symbols=True)
    chosen = next(policy for policy in found.policies if policy.policy == found.advice.policy)
    yield "How long does it take?", _length(chosen.days, found.days)
    yield "How sure is it?", _certainty(chosen)
    yield "What does it cost?", (
        f"About {written(chosen.cost, money)} to send, and {written(found.fixed_cost, money)} to make the messages."
    )


def _length(days: Days, most: int) -> str:
    if days.median is None:
        return f"Longer than {most} days in half of the campaigns, if every segment is to have its verdict."
    high = f"{days.high:.0f}" if days.high is not None else f"more than {most}"
    return f"About {days.median:.0f} days until every segment has its verdict; most often {days.low:.0f} to {high}."


def _certainty(chosen: Forecast) -> str:
    if not chosen.segments:
        return "No message is tailored, so there is no segment to be sure about."
    return (
        f"Right about every segment in {share(chosen.right)} of the simulated campaigns, wrong about one or more in "
        f"{share(chosen.wrong)}."
    )


def _effect(effect: Effect) -> Row:
    uplifts = (effect.assumed, effect.detectable, effect.break_even)
    return Row(f"{effect.arm} for {effect.segment}", tuple(map(_uplift, uplifts)))


def _uplift(uplift: float | None) -> str:
    return NOTHING if uplift is None else f"{uplift:+.0%}"


def _policy(found: Preflight, policy: Forecast) -> Row:
    money = money_in(found.currency, symbols=True)
    unit: Unit = money if METRIC_KINDS[found.goal_kind].unit == "money" else PLAIN
    median = f"more than {found.days}" if policy.days.median is None else f"{policy.days.median:.0f}"
    figures = (median, chance(policy.right), signed(policy.goals.won, unit), written(policy.cost, money))
    note = policy_name(policy.policy) + (", as set up" if policy.policy == found.own else "")
    return Row(_deed(policy.policy, _DEEDS), figures, note)


def _deed(policy: str, words: Mapping[str, str]) -> str:
    """What a policy does, in the words of its kind where there are none of its own."""
    return words.get(policy) or policy_kind(policy).help
