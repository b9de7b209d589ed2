"""The draw: a visitor's position in [0, 1), and the range that it falls on.

The hash is GrowthBook's version 2 (https://docs.growthbook.io/lib/build-your-own): FNV-1a of 32 bits (Fowler, Noll
and Vo, http://www.isthe.com/chongo/tech/comp/fnv/) over UTF-16 code units. So their SDKs place every visitor where
we do.
"""

from collections.abc import Iterable
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from itertools import pairwise
from typing import overload

OFFSET = 0x811C9DC5
PRIME = 0x01000193
_MASK = 0xFFFFFFFF

#: Where the range of each weight starts (inside) and ends (outside).
Ranges = tuple[tuple[float, float], ...]


def fnv1a(text: str, *, state: int = OFFSET) -> int:
    """The 32-bit FNV-1a of a text's UTF-16 code units; `state` goes on from the hash of what stands before it."""
    for unit in _code_units(text):
        state = (state ^ unit) * PRIME & _MASK
    return state


def _code_units(text: str) -> Iterable[int]:
    if text.isascii():
        return text.encode("ascii")
    # A lone surrogate is a code unit like any other to JavaScript; it must hash, not raise.
    return memoryview(text.encode("utf-16", "surrogatepass")).cast("H")[1:]


# Visitors come by the thousand for each seed, so the seed's part of the hash is kept.
seed_state = lru_cache(maxsize=1024)(fnv1a)


@overload
def bucket(seed: str, value: str) -> float: ...


@overload
def bucket(seed: str, value: str, *, version: int) -> float | None: ...


def bucket(seed: str, value: str, *, version: int = 2) -> float | None:
    """The position of `value` in [0, 1): steps of .0001 for version 2, of .001 for version 1, None for others.

    Only version 2 draws: version 1 is not independent between experiments, and is here because the clients know it.
    """
    if version == 2:
        return fnv1a(str(fnv1a(value, state=seed_state(seed)))) % 10_000 / 10_000
    if version == 1:
        return fnv1a(value + seed) % 1000 / 1000
    return None


def ranges(weights: Iterable[float]) -> Ranges:
    """One range for each weight, in order, by adding floats from left to right as the SDKs do."""
    return tuple(pairwise(accumulate(weights, initial=0.0)))


def choose(position: float, bounds: Sequence[tuple[float, float]]) -> int:
    """Which of `bounds` holds `position`, by index; -1 if none does, which weights that sum to 1 never give."""
    for index, (start, end) in enumerate(bounds):
        if start <= position < end:
            return index
    return -1
