"""What one evaluation costs, and one visitor of a list, in process and in microseconds."""

import time
from collections.abc import Callable
from collections.abc import Sequence

from benchmarks.mailing import KEY
from benchmarks.mailing import Customer
from benchmarks.site import assigned
from benchmarks.site import evaluated
from service.installation import Installation

_TIMES = 5


def of_evaluation(installation: Installation, met: Sequence[Customer], *, key: str = KEY) -> float:
    """The cost of one evaluation: of the quickest of some runs over these visitors."""
    return _each(lambda: [evaluated(installation, customer, key=key) for customer in met], len(met))


def of_first_evaluation(installation: Installation, met: Sequence[Customer], *, key: str = KEY) -> float:
    """The same where none of them was evaluated before, so that exposures are looked up in the database."""

    def work() -> None:
        installation.store.forget_exposures()
        for customer in met:
            evaluated(installation, customer, key=key)

    return _each(work, len(met))


def of_list(installation: Installation, met: Sequence[Customer], *, key: str = KEY) -> float:
    """The cost of one visitor of a list of these."""
    return _each(lambda: assigned(installation, met, key=key), len(met))


def _each(work: Callable[[], object], number: int) -> float:
    work()
    return 1e6 * min(_seconds(work) for _ in range(_TIMES)) / number


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
