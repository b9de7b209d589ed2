"""Keys that a form suggests where none was typed: a name in small letters, without what a key cannot hold. Pure."""

import re
import unicodedata
from collections.abc import Iterable
from itertools import count
from typing import Any

from service.setup.kinds import Sheet

_LONGEST = 64
#: By section, the text that a key is made of.
_SOURCES = {"segments": "name", "metrics": "event"}


def suggested_key(name: str, taken: Iterable[str] = ()) -> str:
    """A key like the name that is not taken; empty where nothing of the name can be in a key."""
    plain = unicodedata.normalize("NFKD", name.lower()).encode("ascii", "ignore").decode()
    base = re.sub(r"[^a-z0-9._]+", "-", plain.replace("'", "")).strip("-._")[:_LONGEST].rstrip("-._")
    if not base:
        return ""
    numbered = (base if number == 1 else f"{base[: _LONGEST - 5]}-{number}" for number in count(1))
    known = set(taken)
    return next(key for key in numbered if key not in known)


def with_keys(sheet: Sheet) -> Sheet:
    """The sheet with a key wherever one is missing and can be suggested."""
    sections = {section: _with_keys(sheet[section], source) for section, source in _SOURCES.items()}
    return {**sheet, "key": sheet["key"] or suggested_key(sheet["name"]), **sections}


def _with_keys(rows: list[dict[str, Any]], source: str) -> list[dict[str, Any]]:
    taken, named = [row["key"] for row in rows], []
    for row in rows:
        key = row["key"] or suggested_key(row[source], taken)
        taken.append(key)
        named.append({**row, "key": key})
    return named
