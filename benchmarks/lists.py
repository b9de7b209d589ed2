"""How many visitors of a list are decided in a second of one processor: `python -m benchmarks.lists`.

Rules, hash and draw, from columns of attributes to arrays of assignments; nothing is read, signed or written. Beside
them stand visitors who are decided one after another, by the same rules.
"""

import random
import time
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any
from typing import NamedTuple

from experiments.allocation import first_allocation
from experiments.assignment import Plan
from experiments.assignment import decide
from experiments.attribute_columns import AttributeColumn
from experiments.deciding import decide_all
from experiments.document import parse_document
from service.demo.campaigns import campaign_named

_SIZE = 10_000
_RUNS = 25

_DOCUMENT = campaign_named("hillstrom").document


class Case(NamedTuple):
    """A rule of one segment, and what is known of visitors."""

    rule: dict[str, Any]
    type: str
    value: Callable[[random.Random], Any]


CASES = (
    Case({"known": True}, "boolean", lambda draw: draw.random() < 0.5),
    Case({"known": {"$in": ["Urban", "Rural"]}}, "string", lambda draw: draw.choice(["Urban", "Suburban", "Rural"])),
    Case({"known": {"$lt": 6}}, "number", lambda draw: 12 * draw.random()),
    Case({"known": 6}, "number", lambda draw: 12 * draw.random()),
    Case({"known": {"$regex": "a.*b$"}}, "string", lambda draw: draw.randbytes(8).hex()),
)


class Row(NamedTuple):
    """Visitors a second, decided together and one by one."""

    rule: dict[str, Any]
    together: float
    alone: float


def measure() -> Iterator[Row]:
    """The best of some runs for each case."""
    visitors = [f"customer-{number}" for number in range(_SIZE)]
    for case in CASES:
        plan, draw = _plan(case), random.Random(1)
        known = [case.value(draw) for _ in visitors]
        together = _per_second(lambda: decide_all(plan, visitors, columns={"known": AttributeColumn(known)}))
        pairs = list(zip(visitors, known, strict=True))
        alone = _per_second(lambda: [decide(plan, each, attributes={"known": value}) for each, value in pairs])
        yield Row(case.rule, together, alone)


def _plan(case: Case) -> Plan:
    segment = {"key": "known", "name": "Known", "kind": "behavioral", "rule": case.rule, "review_by": "2027-03-01"}
    tailored = {"key": "tailored", "role": "tailored", "segments": ["known"], "message": {}}
    arms = [*(arm for arm in _DOCUMENT["arms"] if arm["role"] != "tailored"), {**tailored}]
    changes = {"attributes": {"known": case.type}, "segments": [segment], "arms": arms}
    experiment = parse_document({**_DOCUMENT, **changes})
    return Plan(experiment, first_allocation(experiment))


def _per_second(work: Callable[[], object]) -> float:
    return _SIZE / min(_seconds(work) for _ in range(_RUNS))


def _seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def main() -> None:
    """Print a table."""
    print(f"{'visitors a second, by rule':<44}{'a list':>12}{'one by one':>12}")
    for row in measure():
        print(f"{str(row.rule):<44}{row.together:>12,.0f}{row.alone:>12,.0f}")


if __name__ == "__main__":
    main()
