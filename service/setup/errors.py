"""Errors of a set-up beside their fields: where each belongs on the form, and what it says. Pure."""

from collections.abc import Iterable
from collections.abc import Iterator
from typing import NamedTuple

from experiments.errors import Problem
from experiments.errors import shown
from service.setup.form import MORE
from service.setup.kinds import Sheet
from service.setup.names import row_of
from service.setup.names import texts_of
from service.setup.state import STEPS
from service.setup.wording import PERCENTAGES
from service.setup.wording import label_of


class Error(NamedTuple):
    """An error: the field that it stands beside, the step of that, and what it says there and in the summary."""

    field: str
    step: str
    label: str
    text: str

    @property
    def row(self) -> str:
        """The row in which the field stands; empty where it stands in none."""
        return row_of(self.field)


def errors_of(problems: Iterable[Problem], sheet: Sheet) -> list[Error]:
    """The errors in the order of the form."""
    fields = dict.fromkeys(_fields(sheet))
    found = [_error(problem, sheet, fields) for problem in problems]
    order = {step: place for place, step in enumerate(STEPS)}
    return sorted(dict.fromkeys(found), key=lambda error: order[error.step])


def step_of(field: str) -> str:
    """The step that shows a field."""
    section = field.partition(".")[0].partition("[")[0]
    return next((step for step, sections in STEPS.items() if section in sections), "basics")


def _fields(sheet: Sheet) -> Iterator[str]:
    """Every place at which an error can stand: fields, and the groups that they are in."""
    yield from (section for sections in STEPS.values() for section in sections)
    for path, _ in texts_of(sheet):
        while path:
            yield path
            path = _outside(path)


def _outside(path: str) -> str:
    """The path of what a field stands in."""
    return path[: max(path.rfind("."), path.rfind("["), 0)]


def _error(problem: Problem, sheet: Sheet, fields: dict[str, None]) -> Error:
    path = _by_name(problem.field, sheet)
    field = path
    while field not in fields:
        outside = _outside(field)
        rest = f"{outside}.{MORE}" if outside else MORE
        field = rest if rest in fields else outside
    return Error(field, step_of(field), label_of(field), _text(problem, path=field))


def _by_name(path: str, sheet: Sheet) -> str:
    """The path in the form of what a document calls by name: an attribute, a field of a message, a part of a rule."""
    section, _, rest = path.partition(".")
    if section == "attributes" and rest:
        return _named("attributes", rest, sheet["attributes"], key="name") or path
    if section.startswith("arms[") and rest.startswith("message."):
        rows = sheet["arms"][_index(section)]["message"]
        return _named(f"{section}.message", rest.partition(".")[2], rows, key="name") or path
    if section.startswith("segments[") and rest.startswith("rule."):
        return _in_rule(section, rest.partition(".")[2], sheet)
    return path


def _in_rule(section: str, rest: str, sheet: Sheet) -> str:
    rule = sheet["segments"][_index(section)]["rule"]
    if rule["json"].strip() or rest.startswith("json"):
        return f"{section}.rule.json"
    if rest.startswith("rows["):
        return f"{section}.rule.{rest}"
    condition = rest.partition("].")[2] or rest
    return _named(f"{section}.rule.rows", condition, rule["rows"], key="attribute") or f"{section}.rule"


def _named(path: str, rest: str, rows: list[dict[str, str]], *, key: str) -> str | None:
    """The value of the row whose name the rest of a path begins with."""
    for index, row in enumerate(rows):
        name = row[key]
        if rest == name or rest.startswith((f"{name}.", f"{name}[")):
            text = "json" if row.get("json", "").strip() else "value"
            return f"{path}[{index}].{text}"
    return None


def _index(section: str) -> int:
    return int(section.removesuffix("]").partition("[")[2])


def _text(problem: Problem, *, path: str) -> str:
    value = "" if problem.value is None or problem.value == "" else f"{shown(problem.value)} "
    scale = " (as a part of 1: 10 % is 0.1)" if path.rpartition(".")[2] in PERCENTAGES else ""
    text = f"{value}{problem.rule}{scale}"
    return text if value else text[:1].upper() + text[1:]
