"""Rules as rows: attribute, what is asked of it, and a value; what rows cannot say stays JSON. Pure."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from experiments.amendments import is_same
from experiments.errors import Problem
from service.setup.kinds import ABSENT
from service.setup.kinds import Reading
from service.setup.kinds import Sheet
from service.setup.kinds import TEXT
from service.setup.kinds import Unsayable
from service.setup.kinds import json_text
from service.setup.kinds import read_json
from service.setup.kinds import read_number


class Ask(NamedTuple):
    """What a row asks: in words, by which operator (none for a bare value), and whether of several values."""

    words: str
    operator: str = ""
    of_several: bool = False
    given: bool | None = None


ASKS: dict[str, Ask] = {
    "is": Ask("is"),
    "is_not": Ask("is not", "$ne"),
    "at_least": Ask("is at least", "$gte"),
    "more_than": Ask("is more than", "$gt"),
    "at_most": Ask("is at most", "$lte"),
    "less_than": Ask("is less than", "$lt"),
    "one_of": Ask("is one of", "$in", of_several=True),
    "none_of": Ask("is none of", "$nin", of_several=True),
    "all_of": Ask("has all of", "$all", of_several=True),
    "known": Ask("is known", "$exists", given=True),
    "unknown": Ask("is not known", "$exists", given=False),
}
MATCHES = {"all": "all of these hold", "any": "any of these holds"}
_JOINED = {"all": " and ", "any": " or "}
_ROW = ("attribute", "asks", "value")

_Clause = tuple[str, Any]


class RuleKind:
    """A rule: rows and how they are joined, or the text of its JSON, which counts where it is not blank."""

    def trimmed(self, sheet: Sheet) -> Sheet:
        """Rows that have every text, at least the first joined by `all`."""
        given = sheet if isinstance(sheet, dict) else {}
        rows = given.get("rows")
        return {
            "match": "any" if given.get("match") == "any" else "all",
            "rows": [_trimmed_row(row) for row in rows] if isinstance(rows, list) else [],
            "json": TEXT.trimmed(given.get("json")),
        }

    def write(self, value: Any, types: Mapping[str, str]) -> Sheet:
        """The rows that mean the rule, or its JSON."""
        for match in MATCHES:
            rows = [_row_of(attribute, operand) for attribute, operand in _clauses(value, match)]
            sheet = {"match": match, "rows": rows, "json": ""}
            reading = Reading(types)
            if None not in rows and is_same(self.read(sheet, "", reading), value) and not reading.problems:
                return sheet
        return {"match": "all", "rows": [], "json": json_text(value)}

    def read(self, sheet: Sheet, path: str, reading: Reading) -> Any:
        """The rule."""
        if sheet["json"].strip():
            return read_json(sheet["json"], f"{path}.json", reading)
        rows = {index: row for index, row in enumerate(sheet["rows"]) if row["attribute"] or row["value"]}
        clauses = [(row["attribute"], _operand(row, reading.types.get(row["attribute"], ""))) for row in rows.values()]
        reading.problems.extend(
            Problem(f"{path}.rows[{index}].value", None, "is required")
            for index, row in rows.items() if not row["value"] and ASKS[row["asks"]].given is None
        )
        if not clauses:
            return ABSENT
        return _all(clauses) if sheet["match"] == "all" else {"$or": [dict([clause]) for clause in clauses]}


def sentence(sheet: Sheet) -> str:
    """A rule in plain words; empty where it is not made of rows."""
    rows = [row for row in sheet["rows"] if row["attribute"]]
    if sheet["json"].strip() or not rows:
        return ""
    return f"{_JOINED[sheet['match']].join(map(_words, rows))}."


def _words(row: Mapping[str, str]) -> str:
    ask = ASKS[row["asks"]]
    value = "" if ask.given is not None else f" {row['value'] or '…'}"
    return f"{row['attribute']} {ask.words}{value}"


def _trimmed_row(row: object) -> dict[str, str]:
    given = row if isinstance(row, dict) else {}
    texts = {name: TEXT.trimmed(given.get(name)) for name in _ROW}
    return {**texts, "asks": texts["asks"] if texts["asks"] in ASKS else "is"}


def _clauses(rule: Any, match: str) -> Iterator[_Clause]:
    """The conditions on one attribute each of which a rule may be made."""
    if not isinstance(rule, dict):
        raise Unsayable
    parts = rule.get("$or" if match == "any" else "$and")
    for part in parts if isinstance(parts, list) and len(rule) == 1 else [rule]:
        if isinstance(part, dict):
            yield from ((attribute, one) for attribute, operand in part.items() for one in _single(operand))


def _single(operand: Any) -> Iterable[Any]:
    """An operand as those that ask one thing."""
    return [{name: argument} for name, argument in operand.items()] if isinstance(operand, dict) else [operand]


def _row_of(attribute: str, operand: Any) -> dict[str, str] | None:
    operator, argument = next(iter(operand.items())) if isinstance(operand, dict) else ("", operand)
    for name, ask in ASKS.items():
        if ask.operator == operator and ask.given in (None, argument):
            value = "" if ask.given is not None else _value_text(argument)
            return None if "\n" in attribute + value else {"attribute": attribute, "asks": name, "value": value}
    return None


def _value_text(value: Any) -> str:
    """A value as it is typed; what is typed otherwise is not read back, and so is no row."""
    if isinstance(value, list):
        return ", ".join(map(_value_text, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json_text(value)


def _operand(row: Mapping[str, str], type_: str) -> Any:
    ask, read = ASKS[row["asks"]], _READERS.get(type_, str)
    if ask.given is not None:
        return {ask.operator: ask.given}
    if ask.of_several:
        return {ask.operator: [read(item.strip()) for item in row["value"].split(",") if item.strip()]}
    value = read(row["value"])
    return {ask.operator: value} if ask.operator else value


def _read_flag(text: str) -> Any:
    return {"true": True, "false": False}.get(text.strip().lower(), text)


#: How a value is read, by the type of its attribute; texts, versions and what lists hold are as they stand.
_READERS: dict[str, Callable[[str], Any]] = {"number": read_number, "boolean": _read_flag}


def read_value(text: str, type_: str) -> Any:
    """The value of an attribute as a visitor would bring it."""
    if type_ == "list":
        return [item.strip() for item in text.split(",")]
    return _READERS.get(type_, str)(text)


def _all(clauses: Iterable[_Clause]) -> dict[str, Any]:
    """One object where attributes and operators differ, else a list of conditions."""
    clauses, rule = list(clauses), dict[str, Any]()
    for attribute, operand in clauses:
        if attribute not in rule:
            rule[attribute] = operand
        elif isinstance(rule[attribute], dict) and isinstance(operand, dict) and not rule[attribute].keys() & operand:
            rule[attribute] = {**rule[attribute], **operand}
        else:
            return {"$and": [dict([clause]) for clause in clauses]}
    return rule
