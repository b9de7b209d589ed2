"""A what-if in words: every policy with what it would have brought, one table for each measure. Pure."""

from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass

from experiments.metric_kinds import MetricUnit
from experiments.replay.alternatives import Alternative
from experiments.replay.alternatives import Kind
from experiments.replay.alternatives import Worth
from experiments.replay.records import Replay
from service.wording import NOTHING
from service.wording import Unit
from service.wording import between
from service.wording import count
from service.wording import decimals_for
from service.wording import mean_and_difference
from service.wording import money_in
from service.wording import signed
from service.wording import written

_NAMES: dict[Kind, str] = {
    "logged": "What was done",
    "arm": "{arm} for everybody",
    "tailored": "Each segment its own message",
    "uniform": "An even split of all messages",
    "best": "The best for each segment",
    "best_by_profit": "The most profitable for each segment",
    "epsilon_greedy": "The best for each segment, but for a share",
    "best_by_context": "The best for each context",
}


@dataclass(frozen=True)
class PolicyRow:
    """A policy's figures by one measure, as written: mean, its range, gain, its range, the other estimator's mean."""

    name: str
    mean: str
    interval: str
    gain: str
    gain_interval: str
    other: str
    visitors: str


@dataclass(frozen=True)
class MeasureTable:
    """All policies by one measure; `heading` says which, `plot` are the gains to be drawn: name, low, mean, high."""

    heading: str
    unit: Unit
    rows: tuple[PolicyRow, ...]
    plot: tuple[tuple[str, float, float, float], ...]


@dataclass(frozen=True)
class ReplayView:
    """What the page says.

    Attributes:
        headline: what a choice for each segment would have brought over the reference.
        choices: the arm of each segment by the policy of the best, as far as they are shown.
        context_choices: the arm of each context on which both halves of the visitors agree.
        over_best: what contexts bring over segments, in a sentence; empty where nobody can tell.
        unanswered: the policies of which nobody knows, each with why.
    """

    headline: str
    scope: str
    reference: str
    tables: tuple[MeasureTable, ...]
    choices: tuple[tuple[str, str], ...]
    context_choices: tuple[tuple[str, str], ...]
    over_best: str
    unanswered: tuple[tuple[str, str], ...]


def replay_view(found: Replay, *, symbols: bool) -> ReplayView:
    """The page of a what-if; `symbols` as `money_in` takes it."""
    best, by_context = (
        next((one for one in found.alternatives if one.policy == policy), None)
        for policy in ("best", "best_by_context")
    )
    return ReplayView(
        headline=_headline(found, symbols=symbols),
        scope=_scope(found),
        reference=found.reference,
        tables=tuple(_table(found, measure, symbols=symbols) for measure in found.alternatives[0].worth),
        choices=tuple(best.choices.items()) if best else (),
        context_choices=tuple(by_context.choices.items()) if by_context else (),
        over_best=_over_best(found, by_context, symbols=symbols),
        unanswered=tuple(
            (policy_title(one), one.unanswered.detail) for one in found.alternatives if one.unanswered is not None
        ),
    )


def policy_title(alternative: Alternative) -> str:
    """What a policy does, in a few words."""
    return _NAMES[alternative.policy].format(arm=alternative.arm)


def _headline(found: Replay, *, symbols: bool) -> str:
    best = next(one for one in found.alternatives if one.policy == "best")
    gain = best.worth["goal"].gain if best.worth else None
    if gain is None:
        return "This log cannot tell what a choice for each segment would have brought"
    _, difference = _units(found, "goal", symbols=symbols)
    if gain.low == gain.high:
        return f"The best for each segment is {found.reference}"
    if gain.low <= 0 <= gain.high:
        return f"Choosing for each segment cannot be told from {found.reference} for everybody"
    size = written(abs(gain.mean), difference, decimals=_decimals([asdict(gain)], difference))
    verb = "more" if gain.mean > 0 else "less"
    return f"Choosing for each segment would have brought {size} {verb} than {found.reference} for everybody"


def _over_best(found: Replay, by_context: Alternative | None, *, symbols: bool) -> str:
    over = by_context.over_best if by_context else None
    if over is None:
        return ""
    if over.low <= 0 <= over.high:
        return "Choosing for each context cannot be told from choosing for each segment."
    _, unit = _units(found, "goal", symbols=symbols)
    figures = asdict(over)
    digits = _decimals([figures], unit)
    size, range_ = written(abs(over.mean), unit, decimals=digits), between(figures, unit, decimals=digits)
    verb = "more" if over.mean > 0 else "less"
    return f"Choosing for each context would have brought {size} {verb} than choosing for each segment ({range_})."


def _scope(found: Replay) -> str:
    until = "" if found.before is None else f" who came before {found.before}; later ones still have time"
    return f"From the outcomes of {count(found.visitors)} visitors{until}."


def _table(found: Replay, measure: str, *, symbols: bool) -> MeasureTable:
    unit, difference = _units(found, measure, symbols=symbols)
    known = [(policy_title(one), one, one.worth[measure]) for one in found.alternatives if measure in one.worth]
    gains = [asdict(worth.gain) for _, _, worth in known if worth.gain is not None]
    digits = (_decimals([_interval(worth) for _, _, worth in known], unit), _decimals(gains, difference))
    return MeasureTable(
        heading=f"{found.goal}, per visitor" if measure == "goal" else "Profit per visitor",
        unit=difference,
        rows=tuple(_row(title, one, worth, units=(unit, difference), digits=digits) for title, one, worth in known),
        plot=tuple(_plotted(known, difference.scale)),
    )


def _units(found: Replay, measure: str, *, symbols: bool) -> tuple[Unit, Unit]:
    """Of means and of their differences."""
    unit: MetricUnit = "money" if measure == "profit" else found.unit
    return mean_and_difference(unit, money=money_in(found.currency or "", symbols=symbols))


def _decimals(intervals: Sequence[dict[str, float]], unit: Unit) -> int:
    return decimals_for([one for one in intervals if one["high"] > one["low"]], unit)


def _interval(worth: Worth) -> dict[str, float]:
    return {"low": worth.low, "high": worth.high}


def _row(
    title: str, alternative: Alternative, worth: Worth, *, units: tuple[Unit, Unit], digits: tuple[int, int]
) -> PolicyRow:
    unit, difference = units
    gain = None if worth.gain is None or worth.gain.low == worth.gain.high else worth.gain
    return PolicyRow(
        title,
        written(worth.mean, unit, decimals=digits[0]),
        between(_interval(worth), unit, decimals=digits[0]),
        NOTHING if gain is None else signed(gain.mean, difference, decimals=digits[1]),
        NOTHING if gain is None else between(asdict(gain), difference, decimals=digits[1]),
        written(worth.self_normalised, unit, decimals=digits[0]),
        count(alternative.effective_visitors),
    )


def _plotted(
    known: Sequence[tuple[str, Alternative, Worth]], scale: float
) -> Iterator[tuple[str, float, float, float]]:
    for title, _, worth in known:
        if worth.gain is not None and worth.gain.low < worth.gain.high:
            yield title, worth.gain.low * scale, worth.gain.mean * scale, worth.gain.high * scale
