"""The pre-flight for a terminal: the advice first, then each policy, each segment, and what was assumed."""

from collections.abc import Iterator
from collections.abc import Mapping

from experiments.durations import format_duration
from experiments.metric_kinds import METRIC_KINDS
from experiments.simulation.advice import policy_name
from experiments.simulation.context_world import AssumedValue
from experiments.simulation.effects import POWER
from experiments.simulation.forecasts import Days
from experiments.simulation.forecasts import Forecast
from experiments.simulation.forecasts import SegmentForecast
from experiments.simulation.preflight import Preflight
from service.terminal import columns
from service.terminal import paragraph
from service.wording import NOTHING
from service.wording import PLAIN
from service.wording import chance
from service.wording import count
from service.wording import money_in
from service.wording import share
from service.wording import signed
from service.wording import written

_POLICIES = (
    ("policy", 28), ("days to verdict", 20), ("all right", 10), ("any wrong", 10), ("won", 12), ("profit won", 14),
)
_SEGMENTS = (("segment", 28), ("days to verdict", 20), ("right", 10), ("wrong", 10), ("none yet", 12), ("truth", 14))
_EFFECTS = (("arm for segment", 52), ("assumed", 12), ("is found from", 15), ("pays from", 15))


def preflight_text(found: Preflight) -> str:
    """A pre-flight as lines of plain text."""
    parts = (_advice(found), _policies(found), _segments(found), _effects(found), _assumed(found))
    return "\n".join(line for part in parts for line in part) + "\n"


def _advice(found: Preflight) -> Iterator[str]:
    yield from paragraph(f"{found.experiment}: {found.days} days, {found.runs:,} simulated campaigns of each policy")
    yield ""
    for sentence in found.advice.sentences:
        yield from paragraph(sentence)
    yield from paragraph(_cost(found))


def _cost(found: Preflight) -> str:
    money = money_in(found.currency, symbols=False)
    chosen = next(policy for policy in found.policies if policy.policy == found.advice.policy)
    return (
        f"It will cost about {written(chosen.cost, money)} to send"
        f" and {written(found.fixed_cost, money)} to make the messages."
    )


def _policies(found: Preflight) -> Iterator[str]:
    yield ""
    yield columns(_POLICIES, [heading for heading, _ in _POLICIES])
    for policy in found.policies:
        yield _policy(found, policy)
    yield from paragraph(
        "* is the document's policy. Won: more of the goal than an even split of the same visitors, expected over "
        f"{found.days} days. Days: the median, and what 80 % of campaigns take."
    )


def _policy(found: Preflight, policy: Forecast) -> str:
    money = money_in(found.currency, symbols=False)
    profit = NOTHING if policy.profit is None else signed(policy.profit.won, money)
    name = f"{'*' if policy.policy == found.own else ' '} {policy_name(policy.policy)}"
    won = signed(policy.goals.won, money if METRIC_KINDS[found.goal_kind].unit == "money" else PLAIN)
    chances = (chance(policy.right), chance(policy.wrong))
    return columns(_POLICIES, (name, _days(policy.days, found), *chances, won, profit))


def _segments(found: Preflight) -> Iterator[str]:
    chosen = next(policy for policy in found.policies if policy.policy == found.advice.policy)
    if chosen.segments:
        yield ""
        yield f"Each segment with {policy_name(chosen.policy)}"
        yield columns(_SEGMENTS, [heading for heading, _ in _SEGMENTS])
        yield from (_segment(found, segment) for segment in chosen.segments)


def _segment(found: Preflight, segment: SegmentForecast) -> str:
    figures = (chance(segment.right), chance(segment.wrong), chance(segment.undecided))
    return columns(_SEGMENTS, (
        f"  {segment.segment}", _days(segment.days, found), *figures, " or ".join(segment.right_calls),
    ))


def _days(days: Days, found: Preflight) -> str:
    over = f">{found.days}"
    median, low, high = (over if day is None else f"{day:.0f}" for day in (days.median, days.low, days.high))
    return over if days.low is None else f"{median} ({low} to {high})"


def _effects(found: Preflight) -> Iterator[str]:
    if found.effects:
        yield ""
        yield "The smallest uplift worth testing"
        yield columns(_EFFECTS, [heading for heading, _ in _EFFECTS])
        for effect in found.effects:
            uplifts = (effect.assumed, effect.detectable, effect.break_even)
            yield columns(_EFFECTS, (f"  {effect.arm} for {effect.segment}", *(_uplift(uplift) for uplift in uplifts)))
        yield from paragraph(
            f"Uplifts over the one message. Found: by {POWER:.0%} of campaigns at the end of an even split. "
            "Pays: what repays the arm's cost."
        )


def _uplift(uplift: float | None) -> str:
    return NOTHING if uplift is None else f"{uplift:+.0%}"


def _assumed(found: Preflight) -> Iterator[str]:
    assumed = found.assumptions
    yield ""
    yield from paragraph(f"Assumed: {'; '.join(_assumptions(found))}.")
    if assumed.defaults:
        yield from paragraph(f"Not given, so by default: {', '.join(assumed.defaults)}.")
    yield from paragraph(
        "Weights are moved at midnight, at most once a day; every visitor is exposed once. "
        f"Seed {found.seed}; one more seed shows how far figures are luck."
    )


def _assumptions(found: Preflight) -> Iterator[str]:
    assumed = found.assumptions
    yield f"{count(assumed.visitors_per_day)} visitors a day"
    yield f"segments {_shares(assumed.segment_shares)}"
    yield f"{share(assumed.consent_share)} may be personalised"
    if METRIC_KINDS[found.goal_kind].unit != "rate":
        yield f"{assumed.values.mean:g} each who reaches the goal, give or take {assumed.values.sd:g}"
    if assumed.attributes:
        yield f"attributes {', '.join(map(_attribute, assumed.attributes, assumed.attributes.values()))}"
    delay = f"after {format_duration(assumed.delay_seconds)} on average" if assumed.delay_seconds else "at once"
    yield f"conversions come {delay}"
    yield f"rates drift by {assumed.drift:+.0%} and swing by {assumed.weekly:.0%} within a week"


def _attribute(name: str, by_value: Mapping[str, AssumedValue]) -> str:
    """An attribute's values with their shares, and by arm what changes with them."""
    shown = [
        " ".join((value, share(of.share), *(f"({arm} {gain:+.0%})" for arm, gain in of.uplift.items())))
        for value, of in by_value.items()
    ]
    return f"{name}: {' / '.join(shown)}"


def _shares(share_by_segment: Mapping[str, float]) -> str:
    shown = [f"{segment} {share(part)}" for segment, part in share_by_segment.items()]
    return ", ".join(shown) if len(shown) <= 8 else f"{', '.join(shown[:8])} and {len(shown) - 8} more"
