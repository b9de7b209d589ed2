"""A table of any randomised experiment, a visitor a row, read as a past to question."""

from collections import defaultdict
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from math import inf
from typing import NamedTuple
from typing import NoReturn
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from experiments.errors import BespokeError
from experiments.errors import shown
from experiments.replay.past import FOLDS
from experiments.replay.past import Past
from service.tables.cells import number
from service.tables.reader import Row
from service.tables.reader import Table
from stats.off_policy import Log

Array = NDArray[np.float64]

#: Combinations of the segments' columns: more would leave too few visitors in each.
MOST_CONTEXTS = 200
MOST_ARMS = 100
#: Of an outcome: squares of larger ones add up to nothing that can be told apart.
MOST = 1e12

_EVERYBODY = "everybody"
_BLANK = "(blank)"
_WORDS = {"true": 1.0, "false": 0.0}
#: Below this chance nobody believes that an arm open to a context was never drawn there.
_UNBELIEVABLE = 1e-6


class InvalidQuestion(BespokeError):
    """What is asked of a table does not fit it."""

    code = "invalid_question"


class Asked(NamedTuple):
    """In which columns things stand, and what arms cost.

    Without `propensity` all arms were equally likely; without `visitor` every row is another. `value` is what one of
    the outcome is worth, `costs` what an arm costs a visitor; without both, nothing is said of profit.
    """

    arm: str
    outcome: str
    propensity: str | None
    segments: tuple[str, ...]
    visitor: str | None
    mass: str | None
    value: float | None
    costs: Mapping[str, float]

    @property
    def columns(self) -> tuple[str, ...]:
        """All that must be there."""
        more = (one for one in (self.propensity, self.visitor) if one is not None)
        return (self.arm, self.outcome, *self.segments, *more)


class _Place(NamedTuple):
    fold: int
    context: str
    arm: str
    propensity: float


class _Sums:
    """What the rows add up to, in the order of their first appearance."""

    def __init__(self) -> None:
        self.by_place: dict[_Place, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
        self.contexts: dict[str, int] = {}
        self.arms: dict[str, int] = {}

    def add(self, place: _Place, value: float) -> None:
        self.contexts.setdefault(place.context, len(self.contexts))
        self.arms.setdefault(place.arm, len(self.arms))
        sums = self.by_place[place]
        sums[0] += 1
        sums[1] += value
        sums[2] += value * value


def read_past(table: Table, asked: Asked, *, watched: Callable[[Table], Iterable[Row]]) -> Past:
    """The past of a table.

    :raises InvalidQuestion: if a column is not there, or an arm that is asked about.
    :raises InvalidTable: at the first row that cannot be read.
    """
    for column in asked.columns:
        if column not in table.columns:
            _refuse(f"column {shown(column)} is not in {table.name}, must be one of {', '.join(table.columns)}")
    sums, seen = _Sums(), set[str]()
    for row in watched(table):
        _add(sums, seen, row, table=table, asked=asked)
    return _past(sums, asked, name=table.name)


def _add(sums: _Sums, seen: set[str], row: Row, *, table: Table, asked: Asked) -> None:
    visitor = str(row.line)
    if asked.visitor is not None:
        visitor = row.cells[asked.visitor]
        if visitor in seen:
            raise table.fault(row.line, f"visitor {shown(visitor)} comes again, must be in one row")
        seen.add(visitor)
    propensity = 1.0 if asked.propensity is None else _propensity(row, table, asked.propensity)
    context, arm = _context(row, asked), row.cells[asked.arm]
    if not arm:
        raise table.fault(row.line, f"{asked.arm}: is blank, must name an arm")
    sums.add(_Place(crc32(visitor.encode()) % FOLDS, context, arm, propensity), _outcome(row, table, asked.outcome))
    if max(len(sums.contexts) / MOST_CONTEXTS, len(sums.arms) / MOST_ARMS) > 1:
        raise table.fault(
            row.line, f"more than {MOST_CONTEXTS} combinations of segments or {MOST_ARMS} arms: make bands of them"
        )


def _context(row: Row, asked: Asked) -> str:
    return ", ".join(f"{column} {row.cells[column] or _BLANK}" for column in asked.segments) or _EVERYBODY


def _outcome(row: Row, table: Table, column: str) -> float:
    text = row.cells[column].strip().lower()
    if text in _WORDS:
        return _WORDS[text]
    return _number(row, table, column, rule="must be a number, true or false")


def _propensity(row: Row, table: Table, column: str) -> float:
    rule = "must be a chance above 0 and at most 1"
    value = _number(row, table, column, rule=rule)
    if not 0 < value <= 1:
        raise table.fault(row.line, f"{column}: {value} {rule}")
    return value


def _number(row: Row, table: Table, column: str, *, rule: str) -> float:
    text = row.cells[column].strip()
    try:
        value = float(number(text))
    except (ValueError, OverflowError):
        value = inf
    if not abs(value) <= MOST:
        raise table.fault(row.line, f"{column}: {shown(text)} {rule}, within {MOST:.0e}")
    return value


def _past(sums: _Sums, asked: Asked, *, name: str) -> Past:
    arms, contexts = tuple(sums.arms), tuple(sums.contexts)
    if len(arms) < 2:
        _refuse(f"{name} has {len(arms)} arms in column {shown(asked.arm)}, must have at least 2")
    for arm in (*asked.costs, *(() if asked.mass is None else (asked.mass,))):
        if arm not in arms:
            _refuse(f"arm {shown(arm)} is not in {name}, must be one of {', '.join(arms)}")
    goal = _log(sums, chance=1.0 if asked.propensity else 1 / len(arms))
    logs = {"goal": goal}
    if asked.costs or asked.value is not None:
        worth = 1.0 if asked.value is None else asked.value
        logs["profit"] = _profit(goal, worth=worth, costs=np.array([asked.costs.get(arm, 0.0) for arm in arms]))
    return Past(
        contexts,
        arms,
        FOLDS,
        0 if asked.mass is None else arms.index(asked.mass),
        np.ones((len(contexts), len(arms)), np.bool_),
        _unreachable(goal, len(contexts), arms=len(arms), is_even=asked.propensity is None),
        logs,
        np.zeros(len(arms)),
    )


def _log(sums: _Sums, *, chance: float) -> Log:
    places, figures = list(sums.by_place), np.array(list(sums.by_place.values()))
    return Log(
        np.array([place.fold for place in places]),
        np.array([sums.contexts[place.context] for place in places]),
        np.array([sums.arms[place.arm] for place in places]),
        np.array([place.propensity * chance for place in places]),
        *figures.T,
    )


def _profit(goal: Log, *, worth: float, costs: Array) -> Log:
    """Each visitor's outcome at its worth, less what the arm costs."""
    cost = costs[goal.arm]
    return goal._replace(
        total=worth * goal.total - cost * goal.n,
        total_squares=worth**2 * goal.total_squares - 2 * worth * cost * goal.total + cost**2 * goal.n,
    )


def _unreachable(log: Log, contexts: int, *, arms: int, is_even: bool) -> Array:
    """A table does not say to whom an arm was closed: whoever it never met, if that is no chance."""
    seen = np.zeros((contexts, arms))
    np.add.at(seen, (log.context, log.arm), log.n)
    visitors = seen.sum(axis=1, keepdims=True)
    is_closed = seen == 0
    if is_even:
        is_closed &= (1 - 1 / arms) ** visitors < _UNBELIEVABLE
    return np.where(is_closed, visitors, 0.0)


def _refuse(text: str) -> NoReturn:
    raise InvalidQuestion(text)
