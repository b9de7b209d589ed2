"""Rows of a set-up: which of a long list stand open, and the line that stands for each of the others. Pure."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple

from service.setup.kinds import Sheet
from service.setup.names import folded
from service.setup.names import row_of
from service.setup.rules import sentence
from service.setup.wording import METRIC_KINDS
from service.setup.wording import METRIC_ROLES

#: So many rows all stand open; of more only the one that somebody works at, and the first in which something is wrong.
FEW_ROWS = 6
_MOST_WRONG = 3
_LONGEST_WORDS = 90


class FoldedRow(NamedTuple):
    """What stands for a row: its name, what it is in plain words, and all that it holds as one text."""

    name: str
    words: str
    text: str


def folded_rows(sheet: Sheet, section: str, *, at: str, wrong: Iterable[str]) -> dict[str, FoldedRow]:
    """The rows of a section that are folded, by their paths; `wrong` are the fields that show an error."""
    rows = sheet[section]
    if len(rows) <= FEW_ROWS:
        return {}
    open_rows = {row_of(at), *islice(_rows_of(wrong, section), _MOST_WRONG)}
    paths = {f"{section}[{index}]": row for index, row in enumerate(rows)}
    return {path: _folded_row(section, row) for path, row in paths.items() if path not in open_rows}


def _rows_of(fields: Iterable[str], section: str) -> Iterator[str]:
    """The rows of a section in which fields stand, each once."""
    yield from dict.fromkeys(path for path in map(row_of, fields) if path.startswith(f"{section}["))


def _folded_row(section: str, row: Mapping[str, Sheet]) -> FoldedRow:
    name, words = _WORDS[section](row)
    return FoldedRow(name or "Without a name", _cut(words), folded(row))


def _segment(row: Mapping[str, Sheet]) -> tuple[str, str]:
    return row["name"] or row["key"], sentence(row["rule"]) or "By a rule in JSON."


def _arm(row: Mapping[str, Sheet]) -> tuple[str, str]:
    text = next((field["value"] for field in row["message"] if field["value"]), "")
    whom = f"for {', '.join(row['segments'].split())}" if row["segments"] else row["role"]
    return row["key"], f"{whom}: {text}" if text else whom


def _metric(row: Mapping[str, Sheet]) -> tuple[str, str]:
    role, kind = dict(METRIC_ROLES).get(row["role"], ""), dict(METRIC_KINDS).get(row["kind"], "")
    return row["key"] or row["event"], ". ".join(filter(None, (role, kind)))


def _cut(words: str) -> str:
    return words if len(words) <= _LONGEST_WORDS else f"{words[:_LONGEST_WORDS]}…"


_WORDS: Mapping[str, Callable[[Mapping[str, Sheet]], tuple[str, str]]] = {
    "segments": _segment, "arms": _arm, "metrics": _metric,
}
#: The sections that are rows which fold, by the step that shows them.
SECTION_BY_STEP = {"segments": "segments", "messages": "arms", "metrics": "metrics"}
