"""A list of visitors, read member by member where nothing about any of them is odd, and else visitor by visitor.

Reading a visitor alone costs more than deciding for it, and nearly all lists are plain: the same few members, of the
right types. Whether one is plain is found out by asking for what it holds as a whole.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from operator import itemgetter
from types import NoneType
from typing import Any
from typing import NamedTuple

import numpy as np

from experiments.assignment import Consent
from experiments.errors import InvalidContext
from experiments.errors import RejectedEvent
from experiments.errors import shown
from experiments.evaluation import Asking
from experiments.evaluation import Caller
from experiments.evaluation import read_caller
from experiments.event_shape import LONGEST_ID
from experiments.events import checked_visitor
from experiments.model import Experiment
from experiments.rules.attribute_columns import AttributeColumn
from experiments.rules.attributes import are_of_type
from experiments.rules.columns import Columns

_MEMBERS = ("id", "attributes", "consent", "token")
#: Names of attributes that say something else of the visitor.
_NO_ATTRIBUTES = {"consent", "token", "gpc", "Sec-GPC"}
_CONSENTS = {None, "none", "measure", "personalise"}
_FIRST_CHARACTER = ord(" ")

#: Stands where nobody could be read: nothing is decided for it, looked up or counted.
_NOBODY = Caller("", "none", {}, None)


class VisitorList(NamedTuple):
    """What is said of visitors, in order; `attributes` are what the consent lets one look at.

    `columns` are the declared ones of these. `faults` are by the places of visitors who could not be read, `opted_out`
    the places of those who object.
    """

    visitors: Sequence[str]
    consents: Sequence[Consent]
    attributes: Sequence[Mapping[str, Any]]
    tokens: Sequence[object]
    columns: Columns
    faults: Mapping[int, InvalidContext]
    opted_out: Sequence[int] = ()

    def without(self, faults: Mapping[int, InvalidContext]) -> "VisitorList":
        """The same with some visitors left out, by their places: nothing is decided for them or counted."""
        if not faults:
            return self
        consents = ["none" if index in faults else consent for index, consent in enumerate(self.consents)]
        return self._replace(consents=consents, faults={**self.faults, **faults})


class _Odd(Exception):
    """Something about a visitor must be looked at alone."""


def read_list(
    experiment: Experiment,
    visitors: Sequence[object],
    *,
    asking: Asking,
    objects: Callable[[Sequence[str]], Sequence[int]] = lambda ids: (),
) -> VisitorList:
    """Visitors as objects with `id`, `attributes`, `consent` and `token`, of which only the first must be.

    An error in the place of a visitor stays where it is. Of those who object, as `objects` says by their places,
    nothing but the id is read.
    """
    places = objects([_plain_id(visitor) for visitor in visitors])
    if places:
        visitors = _silenced(visitors, places)
    try:
        listed = _read_at_once(experiment, visitors, asking=asking)
    except _Odd:
        listed = _read_each(experiment, visitors, asking=asking)
    return listed._replace(opted_out=places)


def _plain_id(visitor: object) -> str:
    """An id that may be one; nobody has the empty one."""
    value = visitor.get("id") if isinstance(visitor, dict) else None
    return value if isinstance(value, str) else ""


def _silenced(visitors: Sequence[object], places: Sequence[int]) -> list[object]:
    silenced = list(visitors)
    for place in places:
        silenced[place] = {"id": _plain_id(visitors[place]), "consent": "none"}
    return silenced


def _read_at_once(experiment: Experiment, visitors: Sequence[Any], *, asking: Asking) -> VisitorList:
    _check_types(visitors, {dict})
    members = set().union(*visitors)
    _check_among(members, {*_MEMBERS})
    consents = _consents(_member("consent", visitors, members), asking=asking)
    sent = _member("attributes", visitors, members)
    _check_types(sent, {dict, NoneType})
    attributes: list[dict[str, Any]] = [each or {} for each in sent]
    names, looked_at = _names(attributes), _looked_at(attributes, consents)
    return VisitorList(
        _ids(_member("id", visitors, members)),
        consents,
        looked_at,
        _member("token", visitors, members),
        _columns(experiment, looked_at, names),
        {},
    )


def _member(name: str, visitors: Sequence[Any], members: set[str]) -> list[Any]:
    """What each visitor has under a name, asked of none where no visitor has it."""
    return _column(name, visitors) if name in members else [None] * len(visitors)


def _column(name: str, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """What each has under a name, None where there is nothing; mostly there is something for all."""
    try:
        return list(map(itemgetter(name), rows))
    except KeyError:
        return [row.get(name) for row in rows]


def _check_types(values: Iterable[object], allowed: set[type]) -> None:
    _check_among(set(map(type, values)), allowed)


def _check_among(found: set[Any], allowed: set[Any]) -> None:
    if not found <= allowed:
        raise _Odd


def _ids(ids: list[str]) -> list[str]:
    _check_types(ids, {str})
    lengths = set(map(len, ids))
    if 0 in lengths or max(lengths, default=0) > LONGEST_ID or _has_control_characters("".join(ids)):
        raise _Odd
    return ids


def _has_control_characters(text: str) -> bool:
    # UTF-8 has bytes as small as theirs for nothing else.
    return bool((np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8) < _FIRST_CHARACTER).any())


def _consents(said: list[Any], *, asking: Asking) -> list[Consent]:
    _check_types(said, {str, NoneType})
    different = set(said)
    _check_among(different, _CONSENTS)
    if asking.objects or different <= {None}:
        return ["none" if asking.objects else asking.consent_default] * len(said)
    return [consent or asking.consent_default for consent in said]


def _looked_at(attributes: list[dict[str, Any]], consents: list[Consent]) -> list[dict[str, Any]]:
    if set(consents) <= {"personalise"}:
        return attributes
    return [each if consent == "personalise" else {} for each, consent in zip(attributes, consents, strict=True)]


def _names(attributes: list[dict[str, Any]]) -> set[str]:
    names = set().union(*attributes)
    if not names.isdisjoint(_NO_ATTRIBUTES):
        raise _Odd
    return names


def _columns(experiment: Experiment, attributes: Sequence[Mapping[str, Any]], names: set[str]) -> Columns:
    columns = _columns_of(experiment, attributes, names)
    if not all(are_of_type(experiment.attributes[name].type, column) for name, column in columns.items()):
        raise _Odd
    return columns


def _columns_of(
    experiment: Experiment, attributes: Sequence[Mapping[str, Any]], names: Iterable[str]
) -> dict[str, AttributeColumn]:
    return {
        name: AttributeColumn(_column(name, attributes), is_list=attribute.type == "list")
        for name, attribute in experiment.attributes.items()
        if name in names
    }


def _read_each(experiment: Experiment, visitors: Sequence[object], *, asking: Asking) -> VisitorList:
    read = [_read(experiment, visitor, asking=asking) for visitor in visitors]
    callers = [_NOBODY if isinstance(each, InvalidContext) else each for each in read]
    attributes = [caller.attributes for caller in callers]
    return VisitorList(
        [caller.visitor for caller in callers],
        [caller.consent for caller in callers],
        attributes,
        [caller.token for caller in callers],
        _columns_of(experiment, attributes, experiment.attributes),
        {index: each for index, each in enumerate(read) if isinstance(each, InvalidContext)},
    )


def _read(experiment: Experiment, visitor: object, *, asking: Asking) -> Caller | InvalidContext:
    if isinstance(visitor, InvalidContext):
        return visitor
    try:
        context = _context(visitor)
        return read_caller(experiment, context["targetingKey"], context=context, asking=asking)
    except InvalidContext as error:
        return error


def _context(visitor: object) -> Mapping[str, Any]:
    """A visitor of a list as an OpenFeature context, where consent and token stand among the attributes."""
    if not isinstance(visitor, dict):
        raise InvalidContext("INVALID_CONTEXT", f"a visitor must be an object, not {shown(visitor)}")
    for name in visitor:
        if name not in _MEMBERS:
            rule = f"is no member of a visitor; there are {', '.join(_MEMBERS)}"
            raise InvalidContext("INVALID_CONTEXT", f"{shown(name)} {rule}")
    attributes = visitor.get("attributes")
    if attributes is not None and not isinstance(attributes, dict):
        raise InvalidContext("INVALID_CONTEXT", f"attributes: {shown(attributes)} must be an object")
    said = {name: visitor[name] for name in ("consent", "token") if visitor.get(name) is not None}
    return {**(attributes or {}), **said, "targetingKey": _id(visitor)}


def _id(visitor: Mapping[str, Any]) -> str:
    try:
        return checked_visitor(visitor.get("id"), "id")
    except RejectedEvent as error:
        raise InvalidContext("INVALID_CONTEXT", str(error)) from error
