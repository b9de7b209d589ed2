"""Batches: what comes one by one, taken so many at a time."""

from collections.abc import Iterable
from collections.abc import Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

#: Items for one transaction: enough to pay for its commit, few enough that others soon have their turn.
BATCH = 250

#: Items that only read: they keep nobody waiting, and what is done once for a batch is done for many.
BATCH_OF_READERS = 5000


def batched(items: Iterable[T], *, size: int = BATCH) -> Iterator[list[T]]:
    """The items in order, a batch at a time, the last one smaller; nothing is read ahead of it."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch
