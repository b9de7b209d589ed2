"""The ledger in words: why traffic moved, decision by decision. Pure: Decision JSON in, text out."""

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from typing import NamedTuple

from experiments.inputs import read_inputs
from experiments.ledger import Decision
from experiments.ledger import Excerpt
from experiments.ledger import LedgerAct
from experiments.model import Experiment
from service.campaigns.context_words import context_words
from service.wording import RATE
from service.wording import count
from service.wording import mean_and_difference
from service.wording import moment
from service.wording import money_in
from service.wording import written

#: So many decisions stand on a page, and of each so many of its largest moves.
ROWS = 8
_MOST_MOVES = 12
#: Attributes with a smaller share of the differences are not named.
_LEAST_TOLD = 0.01

_ACTORS = {"scheduler": "the policy", "service": "the service"}
_BY_PEOPLE: Mapping[LedgerAct, str] = {
    "start": "Started",
    "reallocate": "Traffic moved because somebody asked for it",
    "replace": "The document changed",
    "pause": "Paused",
    "resume": "Resumed",
    "stop": "Stopped",
    "archive": "Archived",
    "freeze": "Weights frozen",
    "unfreeze": "Weights let go: back to those before",
    "finish": "Everybody was sent the winner",
    "bar": "A message lost its traffic for breaking a limit",
    "unbar": "Barred messages were let back in",
}
#: What the service itself writes where nobody says why.
_UNSAID = ("started", "scheduled", "asked for", "document changed")


class Move(NamedTuple):
    """The weight of an arm in a segment, before and after, as written and in hundredths for a bar."""

    segment: str
    arm: str
    before: str
    after: str
    percent_before: float
    percent_after: float


class Known(NamedTuple):
    """What was known of an arm in a segment."""

    segment: str
    arm: str
    visitors: str
    mean: str


class ByContext(NamedTuple):
    """The weights of a segment's contexts: the arms, and for each context its words and a weight for each arm.

    A weight stands as written, and in hundredths for a bar.
    """

    segment: str
    arms: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, float], ...]], ...]


class Told(NamedTuple):
    """One decision: its largest moves, how many smaller ones there were, and what was known where they were.

    `contexts` are the weights that differ inside segments, `moved_by` says which attributes moved them; `looks` says
    how often the policy looked afterwards and found too little to move.
    """

    number: int
    at: str
    moment: str
    title: str
    actor: str
    reason: str
    epoch: int | None
    moves: tuple[Move, ...]
    smaller: int
    known: tuple[Known, ...]
    contexts: tuple[ByContext, ...]
    moved_by: str
    looks: str


class LedgerView(NamedTuple):
    """A page of the ledger; `goal` is the metric whose figures are shown."""

    goal: str
    rows: tuple[Told, ...]
    before: int | None


def ledger_view(experiment: Experiment, excerpt: Excerpt) -> LedgerView:
    """The words of some decisions, the newest first."""
    rows = (told(experiment, row, looks=looks) for row, looks in zip(excerpt.rows, excerpt.looks, strict=True))
    return LedgerView(experiment.goal.key, tuple(rows), excerpt.before)


def told(experiment: Experiment, row: Decision, *, looks: int = 0) -> Told:
    """The words of one decision."""
    moves = list(_moves(experiment, row))
    largest = sorted(moves, key=lambda move: -abs(move.percent_after - move.percent_before))[:_MOST_MOVES]
    shown = tuple(move for move in moves if move in largest)
    return Told(
        number=row["number"],
        at=row["at"],
        moment=moment(row["at"]),
        title=_title(row),
        actor=_ACTORS.get(row["actor"], row["actor"]),
        reason=_reason(row),
        epoch=row["epoch"] if row["kind"] == "published" else None,
        moves=shown,
        smaller=len(moves) - len(shown),
        known=tuple(_known(experiment, row["inputs"], {move.segment for move in shown})),
        contexts=tuple(_by_context(experiment, segment, of) for segment, of in row["contexts"].items()),
        moved_by=_moved_by(row["moved_by"]),
        looks=_looks(looks),
    )


def _by_context(experiment: Experiment, segment: str, weights: Mapping[str, Mapping[str, float]]) -> ByContext:
    arms = tuple(next(iter(weights.values())))
    rows = (
        (
            context_words(context, experiment.attributes),
            tuple((_share(of[arm]), round(100 * of[arm], 1)) for arm in arms),
        )
        for context, of in weights.items()
    )
    return ByContext(segment, arms, tuple(rows))


def _moved_by(shares: Mapping[str, float]) -> str:
    """Which attributes have how much of the differences between arms, the most telling one first."""
    if not shares:
        return "No attribute tells the arms apart yet."
    names = {"$segment": "the segment", "$combination": "what is special to combinations"}
    parts = sorted(shares.items(), key=lambda item: -item[1])
    told = ", ".join(f"{names.get(name, name)} {share:.0%}" for name, share in parts if share >= _LEAST_TOLD)
    return f"What tells the arms apart: {told}."


def _reason(row: Decision) -> str:
    return "" if row["reason"] in _UNSAID else row["reason"]


def _title(row: Decision) -> str:
    if row["actor"] == "scheduler" and row["kind"] == "unchanged":
        return "The policy looked and found too little to move"
    if row["actor"] == "scheduler":
        return "Traffic moved to what does better"
    return _BY_PEOPLE[row["act"]]


def _moves(experiment: Experiment, row: Decision) -> Iterator[Move]:
    """What moved, segment by segment."""
    for segment in experiment.segment_keys:
        before = row["previous"].get(segment, {})
        for arm, weight in row["weights"][segment].items():
            if weight != before.get(arm, 0.0):
                yield _move(segment, arm, before.get(arm), weight)


def _move(segment: str, arm: str, before: float | None, after: float) -> Move:
    return Move(segment, arm, _share(before), _share(after), round(100 * (before or 0.0), 1), round(100 * after, 1))


def _share(weight: float | None) -> str:
    # Of all or nothing the last ten-thousandths tell that it is neither.
    is_extreme = weight is not None and not 0.001 <= weight <= 0.999
    return written(weight, RATE, decimals=2 if is_extreme else 1)


def _known(experiment: Experiment, inputs: object, segments: Collection[str]) -> Iterator[Known]:
    goal = experiment.goal
    unit, _ = mean_and_difference(goal.unit, money=money_in(experiment.currency, symbols=True))
    for segment, found in read_inputs(inputs or {}).items():
        for arm, known in found.arms.items():
            if segment in segments and known.visitors:
                yield Known(segment, arm, count(known.visitors), written(known.goal.mean, unit, decimals=2))


def _looks(looks: int) -> str:
    if not looks:
        return ""
    times = "once" if looks == 1 else f"{looks:,} times"
    return f"After that the policy looked {times} and found too little to move."
