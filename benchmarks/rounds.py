"""Rounds: whatever is compared is measured in turn, so that what disturbs the machine disturbs all of it."""

import sys
from collections.abc import Callable
from collections.abc import Mapping

from benchmarks.rows import Sample

#: Measures once; it is told the number of the round, by which it may choose its visitors.
Measure = Callable[[int], float]


def say(text: str) -> None:
    """Tell whoever waits what is being done."""
    if sys.stderr.isatty():
        print(f"{text:<100}", end="\r", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


def alternate(what: str, contenders: Mapping[str, Measure], rounds: int) -> dict[str, Sample]:
    """Measure all contenders in every round, every other round in the opposite order."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in list(contenders)[:: -1 if number % 2 else 1]:
            say(f"{what}: {name}, round {number + 1} of {rounds}")
            found[name].append(contenders[name](number))
    return {name: Sample(tuple(values)) for name, values in found.items()}
