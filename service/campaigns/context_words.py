"""Contexts in words: what is known of visitors whom weights tell apart. Pure."""

from collections.abc import Mapping

from experiments.contexts import Kept
from experiments.contexts import read_context
from experiments.model import Attribute

_OTHER = "other"


def context_words(context: str, attributes: Mapping[str, Attribute]) -> str:
    """A context as people say it, such as `age 30 to 60, member yes`."""
    return ", ".join(f"{name} {_value(kept, attributes[name])}" for name, kept in read_context(context).items())


def _value(kept: Kept, attribute: Attribute) -> str:
    if isinstance(kept, bool):
        return "yes" if kept else "no"
    if isinstance(kept, int):
        return _band(kept, attribute.bands)
    if isinstance(kept, tuple):
        return " and ".join(text or _OTHER for text in kept) or "none"
    return kept or _OTHER


def _band(place: int, edges: tuple[float, ...]) -> str:
    """A band of numbers by its edges, of which the lower one belongs to it."""
    if place == 0:
        return f"under {edges[0]:g}"
    return f"{edges[-1]:g} and more" if place == len(edges) else f"{edges[place - 1]:g} to {edges[place]:g}"
