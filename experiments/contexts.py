"""Contexts: what is stored of a visitor's attributes, coarsened as the experiment declares. Pure.

A context is a JSON object as text. It has the stored attributes that are known of the visitor, by name in the order of
the alphabet: a number as the place of its band, a text or a list of texts as they are kept, with null for all others.
"""

from bisect import bisect_right
from collections.abc import Callable
from collections.abc import Mapping
from itertools import compress
from itertools import product
from math import prod
from typing import Any

import msgspec
import numpy as np

from experiments.codes import Codes
from experiments.codes import coded
from experiments.model import Attribute
from experiments.rules.attribute_columns import AttributeColumn

#: A text without bands that is longer is one of the others: no band is that long, and free text tells too much.
LONGEST_KEPT = 100

#: Combinations of stored values by which weights may differ: of more, each would have too few visitors to tell.
MOST_COMBINATIONS = 200

#: What is kept of an attribute: a text, the place of a band, a boolean, texts of a list; None is any other text.
Kept = str | int | bool | tuple[str | None, ...] | None


class Contexts:
    """The contexts of an experiment's visitors."""

    def __init__(self, attributes: Mapping[str, Attribute]) -> None:
        stored = {name: attribute for name, attribute in sorted(attributes.items()) if attribute.store}
        self._coarsenings = {name: _coarsening(attribute) for name, attribute in stored.items()}

    def __bool__(self) -> bool:
        """Whether anything is stored of anybody."""
        return bool(self._coarsenings)

    def of(self, attributes: Mapping[str, Any]) -> str | None:
        """The context of a visitor with these declared attributes; None where nothing is stored."""
        if not self._coarsenings:
            return None
        known = {
            name: coarsen(attributes[name])
            for name, coarsen in self._coarsenings.items()
            if attributes.get(name) is not None
        }
        return msgspec.json.encode(known).decode()

    def is_whole(self, context: str) -> bool:
        """Whether a context has every stored attribute."""
        return read_context(context).keys() == self._coarsenings.keys()

    def of_all(self, columns: Mapping[str, AttributeColumn], size: int) -> list[str | None]:
        """What `of` gives each of so many visitors; made once for all who have the same."""
        places: Codes = np.zeros(size, np.intp)
        for name, coarsen in self._coarsenings.items():
            if name in columns:
                kept, codes = coded([None if value is None else (coarsen(value),) for value in columns[name].different])
                _, places = np.unique(places * len(kept) + codes[columns[name].places], return_inverse=True)
        _, examples = np.unique(places, return_index=True)
        different = [
            self.of({name: column.values[example] for name, column in columns.items()}) for example in examples.tolist()
        ]
        return list(map(different.__getitem__, places.tolist()))


def read_context(context: str) -> dict[str, Kept]:
    """What a context says, by the names of attributes; those that were not known of the visitor are missing."""
    known: dict[str, Any] = msgspec.json.decode(context)
    return {name: tuple(kept) if isinstance(kept, list) else kept for name, kept in known.items()}


def _coarsening(attribute: Attribute) -> Callable[[Any], Kept]:
    """What is kept of a value of the attribute."""
    if attribute.type == "boolean":
        return bool
    if attribute.type == "number":
        return lambda value: bisect_right(attribute.bands, value)
    if attribute.prefix is not None:
        return lambda text: text[: attribute.prefix]
    if not attribute.bands:
        return lambda text: text if len(text) <= LONGEST_KEPT else None
    if attribute.type == "list":
        return lambda texts: _kept_texts(texts, attribute.bands)
    return lambda text: text if text in attribute.bands else None


def _kept_texts(texts: list[Any], bands: tuple[str, ...]) -> tuple[str | None, ...]:
    """Those of a list that are kept, in the order of the bands; behind them None if there are others."""
    kept = tuple(band for band in bands if band in texts)
    return kept if all(text in bands for text in texts) else (*kept, None)


def combinations(attributes: Mapping[str, Attribute]) -> int:
    """How many contexts there may be, each attribute known or not.

    :raises ValueError: if an attribute has any number of stored values.
    """
    return prod(_values(name, attribute) + 1 for name, attribute in attributes.items() if attribute.store)


def kept_values(attribute: Attribute) -> list[Kept]:
    """Every thing that may be kept of an attribute that has bands or two values."""
    if attribute.type == "boolean":
        return [True, False]
    if attribute.type == "number":
        return [*range(len(attribute.bands) + 1)]
    if attribute.type != "list":
        return [*attribute.bands, None]
    chosen = product((True, False), repeat=len(attribute.bands) + 1)
    return [tuple(compress((*attribute.bands, None), which)) for which in chosen]


def _values(name: str, attribute: Attribute) -> int:
    """How many different things may be kept of an attribute."""
    if attribute.type == "boolean":
        return 2
    if not attribute.bands:
        raise ValueError(f"needs bands for the stored attribute {name}, whose values nobody can count otherwise")
    several = attribute.type == "list"
    return 2 ** (len(attribute.bands) + 1) if several else len(attribute.bands) + 1
