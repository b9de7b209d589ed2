"""A discovery for a terminal: what it says first, then every proposal, or what would have been seen."""

from collections.abc import Iterator
from collections.abc import Mapping

from experiments.discovery.proposals import Discovery
from service.discovery.view import ProposalView
from service.discovery.view import discovery_view
from service.terminal import columns
from service.terminal import paragraph

_WIDTHS = (("", 30), ("visitors", 10), ("", 14), ("", 14), ("effect", 8), ("95 %", 14))


def discovery_text(found: Discovery, types: Mapping[str, str]) -> str:
    """A discovery as lines of plain text."""
    view = discovery_view(found, types, symbols=False)
    parts = [_beginning(view.headline, view.scope), *map(_proposal, view.proposals)]
    if not view.proposals:
        parts.append(_sights(view.sights))
    return "\n".join(line for part in parts for line in part) + "\n"


def _beginning(headline: str, scope: str) -> Iterator[str]:
    yield from paragraph(f"{headline}.")
    yield from paragraph(scope)


def _proposal(view: ProposalView) -> Iterator[str]:
    yield ""
    yield from paragraph(view.heading)
    yield from paragraph(view.note)
    yield columns(_WIDTHS, ("", "visitors", view.arm[:14], view.against[:14], "effect", "95 %"))
    for row in view.rows:
        yield columns(_WIDTHS, (row.where, row.visitors, row.mean, row.against_mean, row.effect, row.interval))
    yield from paragraph(f"Rule: {' '.join(view.rule.split())}")


def _sights(sights: tuple[str, ...]) -> Iterator[str]:
    for sentence in sights:
        yield ""
        yield from paragraph(sentence)
