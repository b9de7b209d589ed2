"""Durations as the experiment document writes them: `90s`, `30m`, `1h`, `14d`."""

import re

_WRITTEN = re.compile(r"([0-9]{1,10})([smhd])")
_SECONDS_BY_UNIT = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_duration(text: str) -> int:
    """The whole seconds of a written duration.

    Raises ValueError where the text is not one to ten digits and a unit.
    """
    match = _WRITTEN.fullmatch(text)
    if match is None:
        raise ValueError("must be a whole number and a unit: 90s, 30m, 1h or 14d")
    return int(match[1]) * _SECONDS_BY_UNIT[match[2]]


def format_duration(seconds: int) -> str:
    """The shortest writing of whole seconds: in the largest unit that divides them."""
    fitting = (unit for unit, length in _SECONDS_BY_UNIT.items() if seconds >= length and seconds % length == 0)
    unit = max(fitting, key=_SECONDS_BY_UNIT.__getitem__, default="s")
    return f"{seconds // _SECONDS_BY_UNIT[unit]}{unit}"
