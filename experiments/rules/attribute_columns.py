"""An attribute of many visitors: one value for each, None where nothing is known.

What is asked of an attribute is asked once for each value that visitors have, however many have it, because lists have
few different ones; values that cannot be told apart by `==` are the same to every rule, since a declared type never
mixes true with 1.
"""

from collections.abc import Callable
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.codes import coded

#: Says of each visitor whether something holds.
Mask = NDArray[np.bool_]


class AttributeColumn:
    """The values of a declared attribute, each of its type; lists of texts have no equals and are asked one by one."""

    def __init__(self, values: Sequence[Any], *, is_list: bool = False) -> None:
        self.values = values
        self._is_list = is_list

    def where(self, test: Callable[[Any], bool]) -> Mask:
        """For which visitors a test of the value holds."""
        if self._is_list:
            return np.fromiter(map(test, self.values), np.bool_, len(self.values))
        return np.fromiter(map(test, self.different), np.bool_, len(self.different))[self.places]

    @property
    def different(self) -> Sequence[Any]:
        """The values that there are, each once; of lists all."""
        return self._coded[0]

    @property
    def places(self) -> NDArray[np.intp]:
        """Which of the different values each visitor has."""
        return self._coded[1]

    @cached_property
    def _coded(self) -> tuple[Sequence[Any], NDArray[np.intp]]:
        return (self.values, np.arange(len(self.values))) if self._is_list else coded(self.values)

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """The values of a number as doubles, those that are null 0, as JavaScript compares them."""
        numbers = np.array(self.values, np.float64)
        return np.nan_to_num(numbers, copy=False, nan=0.0)
