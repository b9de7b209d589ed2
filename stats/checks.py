"""Refusals: each names the value and the rule it breaks."""

import math


def positive(value: float, name: str) -> float:
    """The value itself, refused unless above 0 and finite."""
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name} is {value}, must be positive and finite")
    return value


def not_negative(value: float, name: str) -> float:
    """The value itself, refused unless at least 0 and finite."""
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{name} is {value}, must be finite and not negative")
    return value


def finite(value: float, name: str) -> float:
    """The value itself, refused when it is infinite or not a number."""
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}, must be finite")
    return value


def between(value: float, name: str, *, low: float, high: float) -> float:
    """The value itself, refused unless strictly between the two bounds."""
    if not low < value < high:
        raise ValueError(f"{name} is {value}, must lie between {low:g} and {high:g}, both excluded")
    return value


def within(value: float, name: str, *, low: float, high: float) -> float:
    """The value itself, refused unless between the two bounds or on them."""
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}, must lie between {low:g} and {high:g}")
    return value
