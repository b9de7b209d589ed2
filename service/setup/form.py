"""The set-up form: what of an experiment document it says by which fields, there and back without loss. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import NamedTuple
from typing import get_args

from experiments.errors import Problem
from experiments.metric_kinds import MetricKind
from experiments.model import AttributeType
from experiments.model import MetricRole
from experiments.model import Objective
from experiments.model import Role
from experiments.policy_kinds import kind_fault
from experiments.reading.policy import Maturity
from experiments.reading.segments import SegmentKind
from service.setup.kinds import ABSENT
from service.setup.kinds import Choice
from service.setup.kinds import FLAG
from service.setup.kinds import Json
from service.setup.kinds import Kind
from service.setup.kinds import LINES
from service.setup.kinds import Line
from service.setup.kinds import NUMBER
from service.setup.kinds import PARAGRAPH
from service.setup.kinds import PERCENT
from service.setup.kinds import Reading
from service.setup.kinds import Sheet
from service.setup.kinds import TEXT
from service.setup.kinds import Unsayable
from service.setup.kinds import json_text
from service.setup.kinds import read_json
from service.setup.kinds import said
from service.setup.rules import RuleKind

#: The field of whatever a part of the form has no field for.
MORE = "more"

_Types = Mapping[str, str]


@dataclass(frozen=True)
class Part:
    """An object: a field for each name that the form knows, and the rest as JSON."""

    kinds: Mapping[str, Kind]

    def trimmed(self, sheet: Sheet) -> Sheet:
        """Every field, blank where nothing was sent."""
        given = sheet if isinstance(sheet, dict) else {}
        return {name: kind.trimmed(given.get(name)) for name, kind in {**self.kinds, MORE: TEXT}.items()}

    def write(self, value: Any, types: _Types) -> Sheet:
        """The fields of an object."""
        if not isinstance(value, dict):
            raise Unsayable
        sheet, rest = self.trimmed({}), {}
        for name, inner in value.items():
            try:
                sheet[name] = said(self.kinds[name], inner, types)
            except (KeyError, Unsayable):
                rest[name] = inner
        return {**sheet, MORE: json_text(rest) if rest else ""}

    def read(self, sheet: Sheet, path: str, reading: Reading) -> Any:
        """The object; what stands in a field counts before what stands in the JSON."""
        place = f"{path}.{MORE}" if path else MORE
        rest = read_json(sheet[MORE], place, reading)
        if rest is not ABSENT and not isinstance(rest, dict):
            reading.problems.append(Problem(place, None, "must be a JSON object"))
        found = dict(rest) if isinstance(rest, dict) else {}
        for name, kind in self.kinds.items():
            value = kind.read(sheet[name], f"{path}.{name}" if path else name, reading)
            if value is not ABSENT:
                found[name] = value
        return found or ABSENT


@dataclass(frozen=True)
class Rows:
    """A list of objects."""

    part: Part

    def trimmed(self, sheet: Sheet) -> Sheet:
        """Every row with every field."""
        return [self.part.trimmed(row) for row in sheet] if isinstance(sheet, list) else []

    def write(self, value: Any, types: _Types) -> Sheet:
        """A row for each object."""
        if not isinstance(value, list):
            raise Unsayable
        return [self.part.write(item, types) for item in value]

    def read(self, sheet: Sheet, path: str, reading: Reading) -> Any:
        """The list."""
        items = [self.part.read(row, f"{path}[{index}]", reading) for index, row in enumerate(sheet)]
        return [{} if item is ABSENT else item for item in items] or ABSENT


@dataclass(frozen=True)
class Names:
    """An object whose names are the document's own: a row for each, with a value or, where it has to be, its JSON."""

    kind: Line

    def trimmed(self, sheet: Sheet) -> Sheet:
        """Every row with its three texts."""
        rows = [row for row in sheet if isinstance(row, dict)] if isinstance(sheet, list) else []
        return [{name: TEXT.trimmed(row.get(name)) for name in ("name", "value", "json")} for row in rows]

    def write(self, value: Any, types: _Types) -> Sheet:
        """A row for each name."""
        if not isinstance(value, dict) or not all(value) or any("\n" in name or "\r" in name for name in value):
            raise Unsayable
        return [self._row(name, inner, types) for name, inner in value.items()]

    def _row(self, name: str, value: Any, types: _Types) -> dict[str, str]:
        try:
            return {"name": name, "value": self.kind.write(value, types), "json": ""}
        except Unsayable:
            return {"name": name, "value": "", "json": json_text(value)}

    def read(self, sheet: Sheet, path: str, reading: Reading) -> Any:
        """The object; rows in which nothing stands are none."""
        found: dict[str, Any] = {}
        for index, row in enumerate(sheet):
            if any(row.values()):
                place = f"{path}[{index}]"
                if not row["name"] or row["name"] in found:
                    rule = "is used twice" if row["name"] else "is required"
                    reading.problems.append(Problem(f"{place}.name", row["name"] or None, rule))
                value = read_json(row["json"], f"{place}.json", reading)
                found[row["name"]] = row["value"] if value is ABSENT else value
        return found or ABSENT


class PolicyChoice(Line):
    """A kind of policy that is installed; another stays as it is written."""

    def write(self, value: Any, types: _Types) -> str:
        """The kind's name."""
        if kind_fault(str(value)):
            raise Unsayable
        return str(value)


_POLICY = Part({
    "kind": PolicyChoice(), "every": TEXT, "min_share": PERCENT, "burn_in": NUMBER,
    "burn_in_conversions": NUMBER, "max_step": PERCENT, "maturity": Choice(words=get_args(Maturity)), "shares": Json(),
    "epsilon": PERCENT, "half_life": TEXT,
})
_SEGMENT = Part({
    "name": TEXT, "key": TEXT, "kind": Choice(words=get_args(SegmentKind)), "rule": RuleKind(), "review_by": TEXT,
    "special": FLAG, "legal_basis": PARAGRAPH,
})
_ARM = Part({
    "key": TEXT, "role": Choice(words=get_args(Role)), "segments": LINES, "channel": TEXT, "message": Names(PARAGRAPH),
    "cost_per_exposure": Json(), "fixed_cost": NUMBER,
})
_METRIC = Part({
    "key": TEXT, "event": TEXT, "kind": Choice(words=get_args(MetricKind)), "role": Choice(words=get_args(MetricRole)),
    "window": TEXT, "from": TEXT, "property": TEXT, "cap": NUMBER, "value": NUMBER,
    "direction": Choice(words=("increase", "decrease")), "source": Choice(words=("any", "server")), "limit": NUMBER,
})
FORM = Part({
    "name": TEXT, "key": TEXT, "hypothesis": PARAGRAPH, "objective": Choice(words=get_args(Objective)),
    "currency": TEXT, "audience": NUMBER, "local_evaluation": FLAG,
    "decision_impact": FLAG, "decision_override": PARAGRAPH,
    "attributes": Names(Choice(words=get_args(AttributeType))), "segments": Rows(_SEGMENT), "arms": Rows(_ARM),
    "metrics": Rows(_METRIC), "policy": _POLICY, "control_share": PERCENT,
})


class Meant(NamedTuple):
    """The document that a sheet means, and which of its texts mean nothing."""

    document: dict[str, Any]
    problems: list[Problem]


def sheet_of(document: Mapping[str, Any]) -> Sheet:
    """The form as the document fills it in."""
    types = _types(document.get("attributes"))
    sheet = FORM.write(dict(document), types)
    # Values of rules are read by the types that the form can say.
    return sheet if types_of(sheet) == types else FORM.write(dict(document), types_of(sheet))


def document_of(sheet: Sheet) -> Meant:
    """The document of a filled-in form."""
    whole = FORM.trimmed(sheet)
    reading = Reading(types_of(whole))
    document = FORM.read(whole, "", reading)
    return Meant({} if document is ABSENT else document, reading.problems)


def types_of(sheet: Sheet) -> dict[str, str]:
    """The declared attributes of a form, by name."""
    return _types(Names(TEXT).read(FORM.trimmed(sheet)["attributes"], "attributes", Reading({})))


def _types(declared: object) -> dict[str, str]:
    """The type of each declared attribute, whichever way it is declared."""
    if not isinstance(declared, dict):
        return {}
    types = {name: one.get("type") if isinstance(one, dict) else one for name, one in declared.items()}
    return {name: type_ for name, type_ in types.items() if isinstance(type_, str)}
