"""Replay: what other policies would have earned, asked of an experiment's own record."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace

from experiments.contexts import Contexts
from experiments.errors import UnansweredPast
from experiments.history.sources import DATABASE
from experiments.history.sources import Source
from experiments.inputs import last_open_day
from experiments.metric_kinds import MetricUnit
from experiments.readings import Readings
from experiments.replay.alternatives import Alternative
from experiments.replay.alternatives import alternatives
from experiments.replay.alternatives import best_by_context
from experiments.replay.context_past import context_past
from experiments.replay.past import Past
from experiments.replay.past import past_of
from experiments.storage.contexts import ContextRow
from experiments.storage.store import Store
from experiments.times import date_of


@dataclass(frozen=True)
class Replay:
    """What a past answers.

    Attributes:
        name: of the experiment, or of the table.
        goal: the metric or the column that policies are judged by; `unit` is what its mean per visitor is.
        currency: of the profit; None where nothing is known of money.
        visitors: how many are judged.
        before: the first day whose visitors are not, since their windows are open (UTC); None for a table.
        reference: the arm that gains are over.
        contexts: visitors by context; those too few to be shown are left out.
    """

    name: str
    goal: str
    unit: MetricUnit
    currency: str | None
    visitors: int
    before: str | None
    reference: str
    contexts: Mapping[str, int]
    alternatives: list[Alternative]


def replay(store: Store, key: str, *, now_ms: int, min_cell: int, source: Source = DATABASE) -> Replay:
    """What other policies would have earned with an experiment's visitors.

    :raises UnknownExperiment: if there is none.
    :raises UnansweredPast: if no visitor's window is over, or fewer than `min_cell` are.
    """
    readings, rows = source.matured(store, key, now_ms=now_ms)
    return replay_of(readings, rows=rows, min_cell=min_cell)


def replay_of(readings: Readings, *, rows: Sequence[ContextRow] = (), min_cell: int) -> Replay:
    """The same of what was read; `rows` are of the visitors whose windows are over."""
    experiment = readings.experiment
    past = past_of(experiment, readings.columns, allocations=readings.allocations, now_ms=readings.now_ms)
    if past is None or past.visitors < max(1, min_cell):
        raise UnansweredPast(
            f"{experiment.key}: the windows of {0 if past is None else past.visitors:.0f} visitors are over, must be "
            f"those of {max(1, min_cell)}"
        )
    found = answered(
        past,
        name=experiment.key,
        goal=experiment.goal.key,
        unit=experiment.goal.unit,
        currency=experiment.currency if "profit" in past.logs else None,
        before=date_of(last_open_day(experiment.goal, now_ms=readings.now_ms)),
        epsilon=experiment.policy.epsilon,
        roles={arm.key: arm.role for arm in experiment.arms},
        min_cell=min_cell,
    )
    if not Contexts(experiment.attributes):
        return found
    return replace(found, alternatives=[*found.alternatives, _by_context(readings, past, rows, min_cell=min_cell)])


def _by_context(readings: Readings, past: Past, rows: Sequence[ContextRow], *, min_cell: int) -> Alternative:
    found = rows and context_past(
        readings.experiment, past, rows, allocations=readings.allocations, min_cell=min_cell
    )
    return best_by_context(found or None, visitors=past.visitors)


def answered(
    past: Past,
    *,
    name: str,
    goal: str,
    unit: MetricUnit,
    currency: str | None,
    before: str | None,
    epsilon: float,
    roles: Mapping[str, str],
    min_cell: int,
) -> Replay:
    """What a past answers, with what is to be said beside it."""
    visitors = zip(past.contexts, past.visitors_by_context.tolist(), strict=True)
    return Replay(
        name,
        goal,
        unit,
        currency,
        round(past.visitors),
        before,
        past.arms[past.mass],
        {context: round(n) for context, n in visitors if n >= max(1, min_cell)},
        alternatives(past, epsilon=epsilon, roles=roles, min_cell=min_cell),
    )
