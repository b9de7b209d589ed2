"""How many visitors of a list are assigned a second: in process, and over HTTP line by line?

In process it is rules, hash and draw, beside GrowthBook's SDK in a loop over the same visitors. Over HTTP a list of
10,000 goes in as NDJSON with a server key, and arms, messages and tokens come out.
"""

import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from http.client import HTTPConnection

import msgspec

from benchmarks.cores import ASKING
from benchmarks.cores import on_core
from benchmarks.decision import plan_of
from benchmarks.growthbook_sdk import Sdk
from benchmarks.mailing import Customer
from benchmarks.mailing import KEY
from benchmarks.mailing import RULES
from benchmarks.mailing import customers
from benchmarks.mailing import document
from benchmarks.rounds import alternate
from benchmarks.rows import Bound
from benchmarks.rows import PER_SECOND
from benchmarks.rows import Row
from benchmarks.site import site
from benchmarks.size import Size
from experiments.assignment import Plan
from experiments.deciding import Decisions
from experiments.deciding import decide_all
from experiments.rules.attribute_columns import AttributeColumn

_CALL = 10_000
_CALLS = 5


def measure(size: Size) -> Iterator[Row]:
    """In process for one rule and for five, then over HTTP."""
    met = list(customers(min(size.visitors, _CALL)))
    for rules, bounds in ((RULES[1:2], (Bound(60), Bound(1_500_000, of_ratio=False))), (RULES, (Bound(60),))):
        yield _in_process(plan_of(rules), met, bounds, rounds=size.rounds)
    yield _over_http(met, rounds=size.rounds)


def _in_process(plan: Plan, met: Sequence[Customer], bounds: Sequence[Bound], *, rounds: int) -> Row:
    sdk, listed = Sdk(plan), _List(plan, met)
    what = f"assign a list in process, rules: {len(plan.experiment.segments)}"
    found = alternate(
        what,
        {
            "ours": lambda _: _per_second(listed.decided, len(met)),
            "GrowthBook": lambda _: _per_second(lambda: sdk.decide_all(met), len(met)),
        },
        rounds,
    )
    assert listed.decided().column("arm").tolist() == sdk.decide_all(met), "the two decide differently"
    against = "GrowthBook's SDK for Python, `run` in a loop"
    return Row(what, against, PER_SECOND, found["ours"], found["GrowthBook"], bounds)


class _List:
    """Customers as a list has them: ids, and a column of values for each attribute."""

    def __init__(self, plan: Plan, met: Sequence[Customer]) -> None:
        self._plan = plan
        self._ids = [each.id for each in met]
        names = plan.experiment.attributes
        self._values = {name: [each.attributes[name] for each in met] for name in names}

    def decided(self) -> Decisions:
        """Everybody's assignment; what a column finds out about its values is found out anew."""
        columns = {name: AttributeColumn(values) for name, values in self._values.items()}
        return decide_all(self._plan, self._ids, columns=columns)


def _over_http(met: Sequence[Customer], *, rounds: int) -> Row:
    body = b"\n".join(msgspec.json.encode(each.item) for each in met)
    with site(document()) as ours:
        headers = {"Authorization": ours.key("server"), "Content-Type": "application/x-ndjson"}
        with ours.serving() as server, on_core(ASKING):

            def call() -> None:
                connection = HTTPConnection("127.0.0.1", server.port)
                for _ in range(_CALLS):
                    connection.request("POST", f"/v1/assignments?experiment={KEY}", body, headers)
                    answer = connection.getresponse()
                    lines = answer.read().count(b"\n")
                    assert (answer.status, lines) == (200, len(met)), (answer.status, lines)
                connection.close()

            found = alternate("lists", {"ours": lambda _: _per_second(call, _CALLS * len(met))}, rounds)
    what = f"POST /v1/assignments, NDJSON, {len(met):,} a call"
    return Row(what, "", PER_SECOND, found["ours"], None, (Bound(300_000, of_ratio=False),))


def _per_second(work: Callable[[], object], visitors: int) -> float:
    begun = time.perf_counter()
    work()
    return visitors / (time.perf_counter() - begun)
