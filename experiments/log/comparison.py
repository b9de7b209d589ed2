"""Comparing: what nodes have counted themselves and what has come by the log, beside what the stored events give."""

from collections.abc import Iterator
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from experiments.model import Experiment
from experiments.recount import Histories
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.verification import expected_cells
from experiments.verification import recounted


class Counts(NamedTuple):
    """Visitors, and the sum of the goal in its integer unit."""

    visitors: int = 0
    total: int = 0

    def plus(self, visitors: int, total: int) -> "Counts":
        """With more of both."""
        return Counts(self.visitors + visitors, self.total + total)


class ArmCounts(NamedTuple):
    """An arm of an experiment by both ways, and by the events; those asserted too."""

    experiment: str
    arm: str
    goal: str
    direct: Counts
    logged: Counts
    events: Counts

    @property
    def is_equal(self) -> bool:
        """Whether both ways together have counted what the events give, and each event once."""
        return self.direct.plus(*self.logged) == self.events


class Comparison(NamedTuple):
    """All arms; what was accepted before the watermark is in them."""

    watermark_ms: int
    arms: Sequence[ArmCounts]


def compare(store: Store, shards: Sequence[Store]) -> Comparison:
    """Compare in one state of each database: as long as all visitors are in one, in one state of everything."""
    return store.read(partial(_among, shards, ()))


def _among(shards: Sequence[Store], sessions: Sequence[Session], session: Session) -> Comparison:
    if shards:
        return shards[0].read(partial(_among, shards[1:], (*sessions, session)))
    read = (*sessions, session)
    watermark_ms = read[0].watermarks.oldest_ms()
    assert watermark_ms is not None, "where there are shards it is known since when"
    arms = [counts for experiment, known in recounted(read, []) for counts in _arms(read, experiment, known)]
    return Comparison(watermark_ms, arms)


def _arms(sessions: Sequence[Session], experiment: Experiment, known: Histories) -> Iterator[ArmCounts]:
    goal = experiment.goal.key
    ways = {(arm.key, is_logged): Counts() for arm in experiment.arms for is_logged in (False, True)}
    for session in sessions:
        for row in session.ways.of(experiment.key, goal):
            ways[row.arm, row.is_logged] = ways[row.arm, row.is_logged].plus(row.n, row.total)
    events = {arm.key: Counts() for arm in experiment.arms}
    for key, (n, total, _) in expected_cells(sessions, experiment, known).items():
        if key.metric == goal:
            events[key.arm] = events[key.arm].plus(n, total)
    for arm, given in events.items():
        yield ArmCounts(experiment.key, arm, goal, ways[arm, False], ways[arm, True], given)
