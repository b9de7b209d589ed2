"""Versions such as `1.10.2-rc.1`, ordered as GrowthBook's SDKs order them.

That is Semantic Versioning (https://semver.org) without its strictness: build metadata and a leading `v` do not count,
and any text has a place.
"""

import re
from typing import Any

from experiments.rules.coercions import code_units
from experiments.rules.coercions import is_number
from experiments.rules.coercions import to_text

_SEPARATORS = re.compile(r"[-.]")
_VERSION = re.compile(r"v?[0-9]+[0-9A-Za-z.-]*(\+[0-9A-Za-z.-]*)?")

# Sorts behind every letter and digit, so a release comes after its pre-releases.
_RELEASE = "~"


def is_version(text: str) -> bool:
    """Whether a text begins with a number, `v` before it or not, and goes on in parts by dots and dashes."""
    return _VERSION.fullmatch(text) is not None


def version_order(value: Any) -> bytes:
    """What orders a version among others, by `<` and `==`; whatever is no version counts as version 0."""
    text = to_text(value) if is_number(value) else value
    if not isinstance(text, str) or not text:
        text = "0"
    parts = _SEPARATORS.split(text.removeprefix("v").partition("+")[0])
    if len(parts) == 3:
        parts.append(_RELEASE)
    return code_units("-".join(map(_padded, parts)))


def _padded(part: str) -> str:
    # Five places are what the SDKs pad to; more would part from them at 100000.
    return part.rjust(5) if part.isascii() and part.isdigit() else part
