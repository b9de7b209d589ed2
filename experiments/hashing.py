"""The draw: a visitor's position in [0, 1), and the range that it falls on.

The hash is GrowthBook's version 2 (https://docs.growthbook.io/lib/build-your-own): FNV-1a of 32 bits (Fowler, Noll
and Vo, http://www.isthe.com/chongo/tech/comp/fnv/) over UTF-16 code units. So their SDKs place every visitor where
we do.
"""

from array import array
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
    units = text.encode("ascii") if text.isascii() else _code_units(text)
    for unit in units:
        state = (state ^ unit) * PRIME & _MASK
    return state


def _code_units(text: str) -> Iterable[int]:
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
        return position(value, state=seed_state(seed))
    if version == 1:
        return fnv1a(value + seed) % 1000 / 1000
    return None


def position(value: str, *, state: int) -> float:
    """What `bucket` gives by version 2; `state` is the seed's."""
    return _fnv1a_of_digits(fnv1a(value, state=state)) % 10_000 / 10_000


def _fnv1a_of_digits(number: int) -> int:
    """What `fnv1a` gives for the number as it is written in decimal, in steps of two digits."""
    if number < _MILLION:
        return fnv1a(str(number))
    state = _AFTER_FIRST[number // _MILLION]
    state = state * _STEP + _AFTER_TWO[(state & 0xFF) * 100 + number // 10_000 % 100]
    state = state * _STEP + _AFTER_TWO[(state & 0xFF) * 100 + number // 100 % 100]
    return state * _STEP + _AFTER_TWO[(state & 0xFF) * 100 + number % 100] & _MASK


_MILLION = 10**6
#: The state after the digits that come before the last six.
_AFTER_FIRST = array("I", [fnv1a(str(number)) for number in range(2**32 // _MILLION + 1)])
#: What two digits multiply a state by. What they add depends on its last byte alone, the one that they are mixed with.
_STEP = PRIME * PRIME & _MASK
_AFTER_TWO = array("I", [
    ((byte ^ tens) * PRIME ^ ones) * PRIME - byte * _STEP & _MASK
    for byte in range(256) for tens in b"0123456789" for ones in b"0123456789"
])


def ranges(weights: Iterable[float]) -> Ranges:
    """One range for each weight, in order, by adding floats from left to right as the SDKs do."""
    return tuple(pairwise(accumulate(weights, initial=0.0)))


def choose(at: float, bounds: Sequence[tuple[float, float]]) -> int:
    """Which of `bounds` holds the position `at`, by index; -1 if none does, which weights that sum to 1 never give."""
    for index, (start, end) in enumerate(bounds):
        if start <= at < end:
            return index
    return -1
