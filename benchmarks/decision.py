"""What does it take to decide for one visitor, in process: five segments with rules, one draw?"""

import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence

from benchmarks.growthbook_sdk import Sdk
from benchmarks.mailing import RULES
from benchmarks.mailing import Customer
from benchmarks.mailing import customers
from benchmarks.mailing import document
from benchmarks.rounds import alternate
from benchmarks.rows import PER_SECOND
from benchmarks.rows import Bound
from benchmarks.rows import Row
from benchmarks.size import Size
from experiments.allocation import first_allocation
from experiments.assignment import Plan
from experiments.assignment import decide
from experiments.document import parse_document

_MOST_CUSTOMERS = 10_000


def measure(size: Size) -> Iterator[Row]:
    """Beside GrowthBook's SDK, which must decide the same."""
    plan = plan_of(RULES)
    sdk, met = Sdk(plan), list(customers(min(size.visitors, _MOST_CUSTOMERS)))

    def ours(customer: Customer) -> str:
        return decide(plan, customer.id, attributes=customer.attributes).arm

    found = alternate(
        "decide",
        {"ours": lambda _: _per_second(ours, met), "GrowthBook": lambda _: _per_second(sdk.decide, met)},
        size.rounds,
    )
    assert [ours(each) for each in met] == sdk.decide_all(met), "the two decide differently"
    against = "GrowthBook's SDK for Python, `run`"
    yield Row("decide, 5 segments", against, PER_SECOND, found["ours"], found["GrowthBook"], (Bound(10),))


def plan_of(rules: tuple[dict[str, object], ...]) -> Plan:
    """An experiment with these segments, under its first allocation."""
    experiment = parse_document(document(rules))
    return Plan(experiment, first_allocation(experiment))


def _per_second(work: Callable[[Customer], str], met: Sequence[Customer]) -> float:
    begun = time.perf_counter()
    for customer in met:
        work(customer)
    return len(met) / (time.perf_counter() - begun)
