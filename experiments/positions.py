"""The positions of many visitors at once: `experiments.hashing.bucket`, a column of characters at a time.

A list is hashed so because a visitor alone costs more in Python's loop over characters than all the rest of a decision.
"""

from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.allocation import GRAIN
from experiments.hashing import OFFSET
from experiments.hashing import PRIME
from experiments.hashing import seed_state

#: One unsigned number for each visitor.
Numbers = NDArray[np.uint32]

_ZERO = ord("0")
_POWERS_OF_TEN = tuple(10**power for power in range(9, -1, -1))


def positions(seed: str, values: Sequence[str]) -> NDArray[np.float64]:
    """What `bucket` gives for each value, to the last bit."""
    hashes = _fnv1a_of_digits(_fnv1a(values, state=seed_state(seed)))
    return hashes % np.uint32(GRAIN) / GRAIN


def _fnv1a(values: Sequence[str], *, state: int) -> Numbers:
    """The hash of each text, those that are left taking their next code unit together."""
    units, lengths = _code_units(values)
    longest_first = np.argsort(-lengths, kind="stable")
    hashes = np.full(len(values), state, np.uint32)
    for taken in _taken(units, lengths, longest_first):
        taking = hashes[: len(taken)]
        taking ^= taken
        taking *= np.uint32(PRIME)
    found = np.empty_like(hashes)
    found[longest_first] = hashes
    return found


def _code_units(values: Sequence[str]) -> tuple[NDArray[np.uint16], NDArray[np.intp]]:
    """The UTF-16 code units of all texts behind one another, and how many each has."""
    units = np.frombuffer("".join(values).encode("utf-16-le", "surrogatepass"), "<u2")
    lengths = np.fromiter(map(len, values), np.intp, len(values))
    if len(units) != lengths.sum():
        # Some character takes two of them.
        lengths = np.fromiter((len(value.encode("utf-16-le", "surrogatepass")) // 2 for value in values), np.intp)
    return units, lengths


def _taken(units: NDArray[np.uint16], lengths: NDArray[np.intp], longest_first: NDArray[np.intp]) -> Iterable[Any]:
    """What is taken at each place, of those texts that are long enough."""
    longest = lengths.max(initial=0)
    if (lengths == longest).all():
        # Most lists have ids of one length; to turn them is a third of picking from them.
        return np.ascontiguousarray(units.reshape(len(lengths), longest).T)
    starts = (np.cumsum(lengths) - lengths)[longest_first]
    return (units[starts[:left] + place] for place, left in enumerate(_left_at(lengths[longest_first])))


def _left_at(descending: NDArray[np.intp]) -> list[int]:
    """How many texts have a code unit at each place."""
    places = np.arange(descending.max(initial=0))
    left: list[int] = np.searchsorted(-descending, -places, side="left").tolist()
    return left


def _fnv1a_of_digits(numbers: Numbers) -> Numbers:
    """The hash of each number as it is written in decimal, without zeros before it."""
    hashes = np.full(len(numbers), OFFSET, np.uint32)
    for power in _POWERS_OF_TEN:
        digits: Any = numbers // np.uint32(power) % np.uint32(10) + np.uint32(_ZERO)
        is_written = numbers >= power if power > 1 else np.True_
        hashes = np.where(is_written, (hashes ^ digits) * np.uint32(PRIME), hashes)
    return hashes
