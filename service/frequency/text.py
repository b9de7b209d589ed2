"""Frequency for a terminal: whether one more send is worth it, then how often visitors were exposed."""

from collections.abc import Iterator

from experiments.frequency.sends import FrequencyReport
from service.frequency.view import FrequencyView
from service.frequency.view import frequency_view
from service.terminal import columns
from service.terminal import paragraph
from service.wording import NOTHING

_RAISES = (("", 38), ("cap", 8), ("goal", 14), ("worth", 12), ("interval", 22))
_DOSES = (("", 38), ("visitors", 9), ("mean", 6))


def frequency_text(found: FrequencyReport) -> str:
    """What is known of the frequency as lines of plain text."""
    view = frequency_view(found, symbols=False)
    parts = (_beginning(found, view), _raises(view), _doses(view))
    return "\n".join(line for part in parts for line in part) + "\n"


def _beginning(found: FrequencyReport, view: FrequencyView) -> Iterator[str]:
    yield from paragraph(f"{found.experiment}: {view.headline}.")
    yield from paragraph(view.scope)


def _raises(view: FrequencyView) -> Iterator[str]:
    if view.raises:
        yield ""
        yield columns(_RAISES, ("One cap more, per visitor", *(heading for heading, _ in _RAISES[1:])))
    for row in view.raises:
        yield columns(_RAISES, (row.name, row.step, row.goal, row.worth, row.worth_interval))
        yield from paragraph(f"  {row.verdict}")


def _doses(view: FrequencyView) -> Iterator[str]:
    widths = (*_DOSES, *((heading.replace("×", "x").replace(" or more", "+"), 6) for heading in view.headings))
    if view.rows:
        yield ""
        yield columns(widths, ("Exposures: visitors by how often", *(heading for heading, _ in widths[1:])))
    for row in view.rows:
        visitors = [cell.visitors for cell in row.cells]
        yield columns(widths, (f"{row.arm} in {row.segment}", row.visitors, row.frequency, *visitors))
        told = [f"{place}x: {cell.association} ({cell.interval})" for place, cell in enumerate(row.cells, 1)
                if cell.association != NOTHING]
        if told:
            yield from paragraph(f"  {view.goal} against once less, an association: {'; '.join(told)}")
