"""A what-if for a terminal: what it says first, then every policy, then those that nobody knows."""

from collections.abc import Iterator

from experiments.replay.records import Replay
from service.replay.view import MeasureTable
from service.replay.view import ReplayView
from service.replay.view import replay_view
from service.terminal import columns
from service.terminal import paragraph

_HEADINGS = (("", 42), ("mean", 11), ("gain", 13), ("95 %", 18), ("visitors", 10))


def replay_text(found: Replay) -> str:
    """A what-if as lines of plain text."""
    view = replay_view(found, symbols=False)
    ending = _choices(view), _contexts(view), _unanswered(view)
    parts = (_beginning(found, view), *(_measure(table) for table in view.tables), *ending)
    return "\n".join(line for part in parts for line in part) + "\n"


def _beginning(found: Replay, view: ReplayView) -> Iterator[str]:
    yield from paragraph(f"{found.name}: what if another policy had run?")
    yield ""
    yield from paragraph(f"{view.headline}.")
    yield from paragraph(
        f"{view.scope} Gain: over {view.reference} for everybody. Visitors: how many of the policy's own would tell "
        "as much."
    )


def _measure(table: MeasureTable) -> Iterator[str]:
    yield ""
    yield columns(_HEADINGS, (table.heading, *(heading for heading, _ in _HEADINGS[1:])))
    for row in table.rows:
        # The gain before it has its unit.
        interval = row.gain_interval.replace(table.unit.before, "").replace(table.unit.after, "")
        yield columns(_HEADINGS, (row.name, row.mean, row.gain, interval, row.visitors))


def _choices(view: ReplayView) -> Iterator[str]:
    if view.choices:
        yield ""
        yield "The best for each segment"
        yield from (f"  {segment}: {arm}" for segment, arm in view.choices)


def _contexts(view: ReplayView) -> Iterator[str]:
    if view.over_best:
        yield ""
        yield "The best for each context"
        yield from paragraph(view.over_best)
        for context, arm in view.context_choices:
            yield from paragraph(f"  {context}: {arm}")


def _unanswered(view: ReplayView) -> Iterator[str]:
    if view.unanswered:
        yield ""
        yield "Not known"
        for title, reason in view.unanswered:
            yield from paragraph(f"  {title}: {reason}")
