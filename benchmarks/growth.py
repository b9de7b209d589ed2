"""What does a request cost as an installation grows: more experiments, more segments, more arms?"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence

from benchmarks import costs
from benchmarks.mailing import Customer
from benchmarks.mailing import customers
from benchmarks.mailing import document
from benchmarks.rounds import say
from benchmarks.rows import Curve
from benchmarks.site import run
from benchmarks.site import site
from benchmarks.size import Size
from service.installation import Installation

_CUSTOMERS = 200
_MOST_ARMS = 100
#: A cost that stays, give or take what the machine's caches do.
LEVEL = 0.1

#: What is measured at each size, by what the table calls it.
COSTS: dict[str, Callable[[Installation, Sequence[Customer]], float]] = {
    "one evaluation": costs.of_evaluation,
    "one visitor of a list": costs.of_list,
}


class Growing:
    """The costs at each size that was reached."""

    def __init__(self, what: str, *, steepest: float = LEVEL) -> None:
        self._what = what
        self._steepest = steepest
        self._costs: dict[str, dict[int, float]] = {name: {} for name in COSTS}

    def reach(self, size: int, installation: Installation, met: Sequence[Customer]) -> None:
        """Measure at a size."""
        say(f"growth: {size:,} {self._what}")
        for name, cost in COSTS.items():
            self._costs[name][size] = cost(installation, met)

    def curves(self) -> Iterator[Curve]:
        """What was measured."""
        return (Curve(name, self._what, found, self._steepest) for name, found in self._costs.items())


def sizes(first: int, last: int) -> list[int]:
    """By factors of ten, and the last one."""
    found = [first]
    while found[-1] * 10 < last:
        found.append(found[-1] * 10)
    return [*found, last]


def measure(size: Size) -> Iterator[Curve]:
    """Experiments, segments, arms; what exposed visitors cost is measured beside the report."""
    met = list(customers(min(size.visitors, _CUSTOMERS)))
    yield from _experiments(met, size.growth)
    yield from _segments(met, size.growth)
    yield from _arms(met)


def _experiments(met: Sequence[Customer], most: int) -> Iterator[Curve]:
    growing, count = Growing("experiments that run"), 1
    with site(document()) as ours, ours.opened() as installation:
        for size in sizes(1, most):
            run(installation, (document((), key=f"other-{number}") for number in range(count, size)))
            installation.snapshots.refresh()
            count = size
            growing.reach(size, installation, met)
    return growing.curves()


def _segments(met: Sequence[Customer], most: int) -> Iterator[Curve]:
    """Of visitors for whom every rule is tried in vain."""
    growing = Growing("segments of the experiment", steepest=1)
    for size in sizes(1, most):
        rules = tuple({"city": f"no-city-{number}"} for number in range(size))
        with site(document(rules)) as ours, ours.opened() as installation:
            growing.reach(size, installation, met)
    return growing.curves()


def _arms(met: Sequence[Customer]) -> Iterator[Curve]:
    growing = Growing("arms of the experiment")
    for size in (2, 10, _MOST_ARMS):
        with site(document((), letters=size - 1)) as ours, ours.opened() as installation:
            growing.reach(size, installation, met)
    return growing.curves()
