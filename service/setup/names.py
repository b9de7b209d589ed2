"""The names of a form's fields: paths such as `arms[1].cost_per_exposure`, and the sheets that they make up. Pure."""

import json
import re
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

from experiments.errors import shown
from service.setup.documents import read_document
from service.setup.kinds import Sheet

_STEP = r"[a-z_]{1,40}(?:\[[0-9]{1,4}\])?"
_NAME = re.compile(rf"{_STEP}(?:\.{_STEP}){{0,5}}")
_TOKEN = re.compile(r"[a-z_]+|[0-9]+")
_ROW = re.compile(r"[a-z_]+\[[0-9]+\]")

#: What a row that is added begins with, by its list; the others begin blank.
_FIRST: dict[str, Mapping[str, Any]] = {
    "segments": {"kind": "behavioral", "rule": {"rows": [{}]}},
    "arms": {"role": "tailored", "message": [{"name": "subject"}, {"name": "body"}]},
    "metrics": {"kind": "conversion", "role": "secondary", "window": "14d"},
}


class UnknownButton(ValueError):
    """No button of the form; the message says which."""


def texts_of(sheet: Sheet, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a sheet by the name of its field."""
    if isinstance(sheet, dict):
        for name, inner in sheet.items():
            yield from texts_of(inner, f"{path}.{name}" if path else name)
    elif isinstance(sheet, list):
        for index, inner in enumerate(sheet):
            yield from texts_of(inner, f"{path}[{index}]")
    else:
        yield path, sheet


def sheet_of_texts(texts: Iterable[tuple[str, Sheet]]) -> dict[str, Any]:
    """The sheet of texts by name; what is no field's name is left out, numbers that are missing are closed up."""
    root: dict[str | int, Any] = {}
    for name, text in texts:
        if _NAME.fullmatch(name):
            _put(root, _tokens(name), text)
    sheet = _closed_up(root)
    return sheet if isinstance(sheet, dict) else {}


def row_of(path: str) -> str:
    """The row in which a field stands; empty where it stands in none."""
    found = _ROW.match(path)
    return found[0] if found else ""


def is_row(name: str) -> bool:
    """Whether a name is that of a whole row, by which a form carries what it does not show."""
    return _ROW.fullmatch(name) is not None


def folded(row: Sheet) -> str:
    """A row as one text, without what is blank in it."""
    return json.dumps(_without_blanks(row), ensure_ascii=False, separators=(",", ":"))


def _without_blanks(sheet: Sheet) -> Sheet:
    if isinstance(sheet, dict):
        return {name: _without_blanks(inner) for name, inner in sheet.items() if inner}
    return [_without_blanks(inner) for inner in sheet] if isinstance(sheet, list) else sheet


def unfolded(text: str) -> Sheet:
    """The row that was folded.

    :raises UnreadableDocument: if the text is not JSON any more.
    """
    return read_document(text.encode("utf-8", "surrogatepass"))


def pressed(sheet: Sheet, button: str) -> tuple[Sheet, str]:
    """The sheet after a button such as `add segments`, `open arms[1]` or `remove arms[2]`, and the path to go on at.

    :raises UnknownButton: if it has no such rows.
    """
    verb, _, path = button.partition(" ")
    if verb not in _VERBS or not _NAME.fullmatch(path):
        raise UnknownButton(f"{shown(button)} is no button of this form")
    copied = sheet_copy(sheet)
    try:
        return copied, _VERBS[verb](copied, path)
    except (LookupError, TypeError, ValueError) as error:
        raise UnknownButton(f"{shown(button)} is no button of this form") from error


def sheet_copy(sheet: Sheet) -> Sheet:
    """A sheet of one's own."""
    if isinstance(sheet, dict):
        return {name: sheet_copy(inner) for name, inner in sheet.items()}
    return [sheet_copy(inner) for inner in sheet] if isinstance(sheet, list) else sheet


def _tokens(name: str) -> list[str | int]:
    return [int(token) if token.isdigit() else token for token in _TOKEN.findall(name)]


def _put(root: dict[str | int, Any], tokens: list[str | int], text: Sheet) -> None:
    place = root
    for token in tokens[:-1]:
        place = place.setdefault(token, {})
        if not isinstance(place, dict):
            return
    place.setdefault(tokens[-1], text)


def _closed_up(tree: Any) -> Sheet:
    if not isinstance(tree, dict):
        return tree
    if all(isinstance(token, int) for token in tree):
        return [_closed_up(tree[index]) for index in sorted(tree)]
    return {str(token): _closed_up(inner) for token, inner in tree.items()}


def _found(sheet: Sheet, path: str) -> Any:
    for token in _tokens(path):
        sheet = sheet[token]
    return sheet


def _row(sheet: Sheet, path: str) -> tuple[list[Sheet], int, str]:
    """The rows in which a row stands, its number, and their path."""
    rows_path, _, index = path.removesuffix("]").rpartition("[")
    rows = _found(sheet, rows_path)
    if not isinstance(rows, list) or not int(index) < len(rows):
        raise LookupError(path)
    return rows, int(index), rows_path


def _add(sheet: Sheet, path: str) -> str:
    rows = _found(sheet, path)
    if not isinstance(rows, list):
        raise LookupError(path)
    rows.append(sheet_copy(dict(_FIRST.get(path, {}))))
    return f"{path}[{len(rows) - 1}]"


def _remove(sheet: Sheet, path: str) -> str:
    rows, index, rows_path = _row(sheet, path)
    del rows[index]
    return f"{rows_path}[{min(index, len(rows) - 1)}]" if rows else rows_path


def _up(sheet: Sheet, path: str) -> str:
    rows, index, rows_path = _row(sheet, path)
    above = max(index - 1, 0)
    rows.insert(above, rows.pop(index))
    return f"{rows_path}[{above}]"


def _open(sheet: Sheet, path: str) -> str:
    _row(sheet, path)
    return path


_VERBS = {"add": _add, "remove": _remove, "up": _up, "open": _open}
