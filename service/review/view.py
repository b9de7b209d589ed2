"""A review in words: what each segment needs, its share and its effects then and lately. Pure."""

from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import dataclass
from datetime import date
from datetime import timedelta

from experiments.headlines import listed
from experiments.model import EVERYONE_ELSE
from experiments.model import NO_PERSONALISATION
from experiments.review.drifts import AttributeDrift
from experiments.review.drifts import MUCH
from experiments.review.effects import Effect
from experiments.review.feeds import Feed
from experiments.review.feeds import Recent
from experiments.review.segments import Finding
from experiments.review.segments import FindingCode
from experiments.review.segments import Review
from experiments.review.segments import SegmentReview
from service.wording import NOTHING
from service.wording import Unit
from service.wording import between
from service.wording import count
from service.wording import decimals_for
from service.wording import mean_and_difference
from service.wording import moment
from service.wording import money_in
from service.wording import share
from service.wording import signed

#: What the day of the next review is unless somebody chooses another.
_NEXT_DAYS = 90

_RESERVED = (EVERYONE_ELSE, NO_PERSONALISATION)

_WORDS: Mapping[FindingCode, str] = {
    "overdue": "Its day of review has passed.",
    "due_soon": "Its day of review comes soon.",
    "never_holds": "Its rule holds for none of the examples: its conditions may shut one another out.",
    "shadowed": "It can hardly ever win: whoever fits it goes to {names} before.",
    "never_matched": "Nobody has come who belongs to it.",
    "none_lately": "Nobody has come lately who belongs to it.",
    "share_moved": "Its share of the visitors is no longer what it was.",
    "effect_changed": "What {names} brings is no longer what it was.",
    "attribute_absent": "Its rule asks for {names}, which none of the newest evaluations brought.",
    "attribute_drifted": "Its rule asks for {names}, which visitors have otherwise than before.",
    "attribute_constant": "Its rule asks for {names}, which was the same in all of the newest evaluations.",
}


@dataclass(frozen=True)
class EffectRow:
    """What a tailored message adds: then, lately, and the change, each with its range."""

    arm: str
    before: str
    before_interval: str
    lately: str
    lately_interval: str
    change: str
    change_interval: str


@dataclass(frozen=True)
class SegmentCard:
    """What is to be said of a segment; `next_day` is what the form offers, none where there is nothing to review."""

    key: str
    notices: tuple[str, ...]
    visitors: str
    share: str
    share_then: str
    effects: tuple[EffectRow, ...]
    overlap: str
    recent: str
    reviewed: str
    review_by: str
    next_day: str


@dataclass(frozen=True)
class ReviewView:
    """What the page says; `against` is the message that effects are over."""

    headline: str
    as_of: str
    since: str
    scope: str
    against: str
    cards: tuple[SegmentCard, ...]
    feeds: tuple[tuple[str, str], ...]
    drifts: tuple[tuple[str, str], ...]
    recent: str


def review_view(found: Review, *, symbols: bool) -> ReviewView:
    """The page of a review; `symbols` as `money_in` takes it."""
    _, unit = mean_and_difference(found.unit, money=money_in(found.currency, symbols=symbols))
    effects = [effect for segment in found.segments for effect in segment.effects]
    next_day = (date.fromisoformat(found.as_of[:10]) + timedelta(days=_NEXT_DAYS)).isoformat()
    return ReviewView(
        headline=_headline(found),
        as_of=moment(found.as_of),
        since=found.since,
        scope=f"{_so_far(found)}“Lately” is since {found.since}; effects are on {found.goal}, "
        "of those whose time is over.",
        against=effects[0].against if effects else "",
        cards=tuple(
            _card(found, segment, unit=unit, next_day=next_day) for segment in found.segments
            if segment.segment not in _RESERVED or segment.visitors != 0
        ),
        feeds=tuple(_feeds(found.attributes)),
        drifts=tuple((one.attribute, _drift_words(one)) for one in found.drifts),
        recent=_recent(found.recent),
    )


def _so_far(found: Review) -> str:
    return "" if found.visitors is None else f"{count(found.visitors)} visitors so far. "


def _headline(found: Review) -> str:
    needing = [segment.segment for segment in found.segments if segment.findings]
    if not needing:
        return "Every segment looks as it did"
    return f"{listed(needing)} needs a look" if len(needing) == 1 else f"{len(needing)} segments need a look"


def _card(found: Review, segment: SegmentReview, *, unit: Unit, next_day: str) -> SegmentCard:
    move, last = segment.share_move, segment.last_review
    return SegmentCard(
        key=segment.segment,
        notices=tuple(map(finding_words, segment.findings)),
        visitors=count(segment.visitors),
        share=share(segment.share if move is None else move.lately),
        share_then="" if move is None else f"{share(move.before)} before",
        effects=tuple(_effect_row(effect, unit) for effect in segment.effects),
        overlap=_overlap(segment),
        recent=_fit(found.recent, segment.segment),
        reviewed="" if last is None else f"{moment(last.at)}, by {last.by}",
        review_by=segment.review_by or "",
        next_day="" if segment.segment in _RESERVED else next_day,
    )


def finding_words(finding: Finding) -> str:
    """What somebody should look at, as a sentence."""
    return _WORDS[finding.code].format(names=listed(finding.names) if finding.names else "")


def _effect_row(effect: Effect, unit: Unit) -> EffectRow:
    spans = [None if span is None else asdict(span) for span in (effect.before, effect.lately, effect.change)]
    digits = decimals_for(spans, unit)
    figures = [
        text for span in spans for text in (
            NOTHING if span is None else signed(span["mean"], unit, decimals=digits),
            between(span, unit, decimals=digits),
        )
    ]
    return EffectRow(effect.arm, *figures)


def _overlap(segment: SegmentReview) -> str:
    """How often others come before it, by examples; empty where there is nothing to say."""
    found = segment.overlap
    if found is None or not found.takers or found.is_shadowed:
        return ""
    return f"Some who fit it go to {listed(found.takers)} before."


def _fit(recent: Recent | None, segment: str) -> str:
    fit = recent.fits.get(segment) if recent else None
    if fit is None:
        return ""
    holds, left = share(fit.holds), share(fit.left)
    if fit.taker is None or fit.holds == fit.left:
        return f"{holds} of the newest evaluations fit it."
    return f"{holds} of the newest evaluations fit it, and {left} are left to it; most others go to {fit.taker}."


def _feeds(feeds: list[Feed]) -> Iterator[tuple[str, str]]:
    for feed in feeds:
        yield feed.attribute, _feed_words(feed)


def _feed_words(feed: Feed) -> str:
    segments = f"asked by {listed(feed.segments)}"
    match feed.standing:
        case "unknown":
            return f"{segments}; too few evaluations to tell whether it comes"
        case "absent":
            return f"{segments}; none of the newest evaluations brought it"
        case "constant":
            return f"{segments}; the same in all of the newest evaluations"
    return f"{segments}; missing in {share(feed.missing)} of the newest evaluations"


def _drift_words(one: AttributeDrift) -> str:
    if one.index is None:
        return "too few visitors to tell"
    how = ("much changed" if one.index >= MUCH else "changed") if one.drifted else "as before"
    missing = "" if not one.missing_lately else f"; not known of {share(one.missing_lately)} lately"
    before = f", of {share(one.missing_before)} before" if missing and one.missing_before is not None else ""
    return f"{how} (stability index {one.index:.2f}{missing}{before})"


def _recent(recent: Recent | None) -> str:
    if recent is None:
        return ""
    return (
        f"Of the newest {count(recent.evaluations)} evaluations of this server, since {moment(recent.since)}, "
        f"{share(recent.several)} fit several segments and {share(recent.none)} fit none."
    )
