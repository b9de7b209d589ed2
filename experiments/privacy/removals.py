"""Removals: events, and all that is known of visitors, taken out of the record while every count stays as it was.

Cells keep what they count, and how much of it is no longer in the events; no row is left of anybody who is gone.
"""

from collections import Counter
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence

from experiments.failpoints import Failpoint
from experiments.failpoints import reached
from experiments.model import Experiment
from experiments.recount import Histories
from experiments.recount import Removed
from experiments.recount import cells_of
from experiments.recount import histories
from experiments.recount import removal
from experiments.storage.events import EventRow
from experiments.storage.session import Session
from experiments.storage.waiting import ORPHANS

Numbered = tuple[int, EventRow]


def know_removed(
    session: Session, experiment: str, visitors: Histories, only: Collection[bytes] | None = None
) -> None:
    """Let histories begin with what came of events that were removed; of everybody, or of some visitors only."""
    totals: dict[bytes, dict[str, int]] = {}
    for visitor, metric, total in session.totals.removed(experiment, only):
        totals.setdefault(visitor, {})[metric] = total
    exposures = dict(session.exposures.removed(experiment, only))
    for visitor in totals.keys() | exposures.keys():
        visitors[visitor].removed = Removed(exposures.get(visitor), totals.get(visitor, {}))


def remove_visitors(
    session: Session, experiment: Experiment, visitors: Collection[bytes], events: Iterable[Numbered]
) -> None:
    """Remove all that is known of visitors in an experiment but their events, which are those given."""
    known = histories(events)[experiment.key]
    know_removed(session, experiment.key, known, visitors)
    session.cells.remove(cells_of(experiment, known.values()))
    reached(Failpoint.REMOVAL_COUNTED)
    keys = [(experiment.key, visitor) for visitor in visitors]
    session.exposures.remove(keys)
    session.totals.remove(keys)


def remove_events(session: Session, events: Sequence[Numbered], *, experiments: Mapping[str, Experiment]) -> None:
    """Remove events, each visitor's oldest ones; what came of them stays with the visitor and in the cells."""
    visitors = {event.visitor for _, event in events}
    numbers = {number for number, _ in events}
    known = histories(session.events.of_visitors(visitors))
    for experiment in {key for _, event in events for key in event.experiments}:
        know_removed(session, experiment, known[experiment], visitors)
        _keep_what_came(session, experiments[experiment], known[experiment], numbers)
        wait_no_more(session, experiment, visitors, numbers)
    reached(Failpoint.REMOVAL_COUNTED)
    session.events.remove([event.key for _, event in events])


def _keep_what_came(
    session: Session, experiment: Experiment, visitors: Histories, numbers: Collection[int]
) -> None:
    key = experiment.key
    for visitor, history in visitors.items():
        removed, cells = removal(experiment, history, numbers)
        session.cells.remove(cells)
        session.exposures.mark_removed([(key, visitor, removed.n)])
        session.totals.mark_removed((key, visitor, metric, total) for metric, total in removed.totals.items())


def wait_no_more(session: Session, experiment: str, visitors: Collection[bytes], numbers: Collection[int]) -> None:
    """Let outcomes of these numbers wait no more: they are orphans, of which a count is left."""
    waiting = [row for row in session.waiting.of_visitors(experiment, visitors) if row.number in numbers]
    session.waiting.remove((experiment, row.event.visitor, row.number) for row in waiting)
    if waiting:
        session.counters.add(Counter({(experiment, ORPHANS): len(waiting)}).items())
