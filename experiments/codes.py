"""Codes: values that repeat, each different one kept once, and for each value the place of its own among them."""

from collections import defaultdict
from collections.abc import Collection
from itertools import count
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

Codes = NDArray[np.intp]


def coded(values: Collection[T]) -> tuple[list[T], Codes]:
    """The different values in the order in which they come, and which of them each one is."""
    # A value that is new gets the next place by being asked for, so that one pass does.
    place_by_value: defaultdict[T, int] = defaultdict(count().__next__)
    places = np.fromiter(map(place_by_value.__getitem__, values), np.intp, len(values))
    return list(place_by_value), places


def gathered(codes: Codes) -> list[tuple[int, Codes]]:
    """Each code that there is, and where it stands, in order."""
    numbers = np.bincount(codes)
    given = np.flatnonzero(numbers)
    order, bounds = np.argsort(codes, kind="stable"), [0, *numbers[given].cumsum().tolist()]
    return [(code, order[start:end]) for code, (start, end) in zip(given.tolist(), pairwise(bounds), strict=True)]
