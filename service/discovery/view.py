"""A discovery in words: every proposal with what the arms brought inside of it and elsewhere. Pure."""

from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass

from experiments.discovery.proposals import Discovery
from experiments.discovery.proposals import Interval
from experiments.discovery.proposals import Proposal
from experiments.discovery.proposals import Side
from experiments.metric_kinds import METRIC_KINDS
from experiments.metric_kinds import MetricUnit
from service.discovery.rule_words import rule_words
from service.setup.kinds import json_text
from service.wording import Unit
from service.wording import count
from service.wording import mean_and_difference
from service.wording import money_in
from service.wording import share
from service.wording import written

#: Of means that differ little.
_DECIMALS: dict[MetricUnit, int] = {"rate": 1, "count": 2, "money": 2}


@dataclass(frozen=True)
class SideRow:
    """One side of a proposal, as written: visitors, both means, and by how much the arm brings more or less."""

    where: str
    visitors: str
    mean: str
    against_mean: str
    effect: str
    interval: str


@dataclass(frozen=True)
class ProposalView:
    """A proposal: `heading` says what was found, `note` how sure that is; `rule` is its JSON."""

    heading: str
    words: str
    note: str
    arm: str
    against: str
    rule: str
    rows: tuple[SideRow, SideRow]
    plot: tuple[tuple[str, Interval], ...]


@dataclass(frozen=True)
class DiscoveryView:
    """What the page says; `sights` are how large a difference would have been seen, for each pair of arms."""

    headline: str
    scope: str
    proposals: tuple[ProposalView, ...]
    sights: tuple[str, ...]


def discovery_view(found: Discovery, types: Mapping[str, str], *, symbols: bool) -> DiscoveryView:
    """The page of a discovery; `types` are those of the attributes, `symbols` as `money_in` takes it."""
    unit = _unit(found, symbols=symbols)
    return DiscoveryView(
        headline=_headline(found, types),
        scope=_scope(found),
        proposals=tuple(_proposal(one, types, unit, number) for number, one in enumerate(found.proposals, 1)),
        sights=tuple(_sights(found)),
    )


def _headline(found: Discovery, types: Mapping[str, str]) -> str:
    if not found.proposals:
        return "No segment stands out"
    best = found.proposals[0]
    return f"{best.arm} does {_better(best)} against {best.against} where {rule_words(best.rule, types)}"


def _better(proposal: Proposal) -> str:
    return "better" if proposal.difference.mean > 1 else "worse"


def _scope(found: Discovery) -> str:
    stored = f"{_listed(found.attributes)} of {count(found.visitors)} visitors: {count(found.contexts)} contexts"
    tried = f"{count(found.tried)} rules were tried on one half of them"
    return f"{stored}. {tried}, and {count(found.tested)} tested on the other."


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _unit(found: Discovery, *, symbols: bool) -> Unit:
    unit = METRIC_KINDS[found.goal_kind].unit
    mean, _ = mean_and_difference(unit, money=money_in(found.currency, symbols=symbols))
    return mean._replace(decimals=_DECIMALS[unit])


def _proposal(proposal: Proposal, types: Mapping[str, str], unit: Unit, number: int) -> ProposalView:
    words = rule_words(proposal.rule, types)
    difference = proposal.difference
    return ProposalView(
        heading=f"{number}. Where {words}",
        words=words,
        note=(
            f"{share(proposal.share)} of the visitors. Against {proposal.against}, {proposal.arm} brings "
            f"{difference.mean:.2f} times as much there as elsewhere ({difference.low:.2f} to {difference.high:.2f})."
        ),
        arm=proposal.arm,
        against=proposal.against,
        rule=json_text(dict(proposal.rule)),
        rows=(_side("There", proposal.inside, unit), _side("Elsewhere", proposal.outside, unit)),
        plot=((f"{number}. There", proposal.inside.ratio), (f"{number}. Elsewhere", proposal.outside.ratio)),
    )


def _side(where: str, side: Side, unit: Unit) -> SideRow:
    ratio = side.ratio
    return SideRow(
        where,
        count(side.visitors),
        written(side.mean, unit),
        written(side.against_mean, unit),
        _percent(ratio.mean),
        f"{_percent(ratio.low)} to {_percent(ratio.high)}",
    )


def _percent(ratio: float) -> str:
    return f"{ratio - 1:+.0%}"


def _sights(found: Discovery) -> Iterator[str]:
    for sight in found.sights:
        pair = f"{sight.arm} and {sight.against}, {count(sight.visitors)} visitors"
        if sight.ratio is None:
            yield f"{pair}: nothing can be told of these two."
        else:
            yield (
                f"{pair}: if {sight.arm} did {_percent(sight.ratio)[1:]} better against the other for one half of the "
                "visitors than for the rest, it would be found in 4 of 5 experiments like this."
            )
