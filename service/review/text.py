"""A review for a terminal: what needs a look, then every segment, then the attributes that rules ask for."""

from collections.abc import Iterator

from experiments.review.segments import Review
from service.review.view import ReviewView
from service.review.view import SegmentCard
from service.review.view import review_view
from service.terminal import columns
from service.terminal import paragraph
from service.wording import NOTHING

_HEADINGS = (("", 42), ("visitors", 10), ("before", 12), ("lately", 12), ("review by", 12))


def review_text(found: Review) -> str:
    """A review as lines of plain text."""
    view = review_view(found, symbols=False)
    parts = (_beginning(found, view), _segments(view), _notices(view), _effects(view), _feeds(view), _drifts(view))
    return "\n".join(line for part in parts for line in part) + "\n"


def _beginning(found: Review, view: ReviewView) -> Iterator[str]:
    yield from paragraph(f"{found.experiment}: {view.headline}.")
    yield from paragraph(view.scope.replace("“", '"').replace("”", '"'))


def _segments(view: ReviewView) -> Iterator[str]:
    yield ""
    yield columns(_HEADINGS, ("Share of the visitors", *(heading for heading, _ in _HEADINGS[1:])))
    for card in view.cards:
        then = card.share_then.removesuffix(" before") or NOTHING
        yield columns(_HEADINGS, (card.key, card.visitors, then, card.share, card.review_by or NOTHING))


def _notices(view: ReviewView) -> Iterator[str]:
    for card in view.cards:
        said = [*card.notices, *filter(None, (card.overlap, _reviewed(card)))]
        if said:
            yield ""
            yield from paragraph(card.key)
            yield from (line for sentence in said for line in paragraph(f"  {sentence}"))


def _reviewed(card: SegmentCard) -> str:
    return f"Last reviewed {card.reviewed}." if card.reviewed else ""


def _effects(view: ReviewView) -> Iterator[str]:
    rows = [(card.key, effect) for card in view.cards for effect in card.effects]
    if rows:
        yield ""
        yield from paragraph(f"What tailored messages add over {view.against}")
    for segment, effect in rows:
        yield from paragraph(f"  {effect.arm} in {segment}: before {effect.before} ({effect.before_interval}), "
                             f"lately {effect.lately} ({effect.lately_interval})")


def _feeds(view: ReviewView) -> Iterator[str]:
    if view.feeds:
        yield ""
        yield "Attributes that rules ask for"
        yield from (line for name, words in view.feeds for line in paragraph(f"  {name}: {words}"))


def _drifts(view: ReviewView) -> Iterator[str]:
    if view.drifts:
        yield ""
        yield "Stored attributes then and lately"
        yield from (line for name, words in view.drifts for line in paragraph(f"  {name}: {words}"))
