"""Messages: JSON objects whose strings are templates, written for one visitor at a time.

What a channel does with a value decides how it is put in: escaped for HTML where it will be shown as HTML, as it is
where it will not. The author's own text is never changed. Control characters of values become spaces or nothing, so
that no value can begin a new line, in a mail's header for one.
"""

import unicodedata
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from math import isfinite
from typing import Any

from liquid import Environment

from experiments.errors import Problem
from experiments.messages.bounds import check_bounds
from experiments.messages.bounds import leaves
from experiments.messages.filters import plain_number
from experiments.messages.templates import HTML
from experiments.messages.templates import InvalidTemplate
from experiments.messages.templates import PLAIN
from experiments.messages.templates import Template
from experiments.messages.templates import has_markup
from experiments.model import Attribute

#: Bytes that the templates of one message may come to for one visitor.
LARGEST_WRITTEN = 1 << 18

#: Fields of a mail that are no HTML.
PLAIN_FIELDS = ("subject", "preheader", "from", "text")

_PLAIN_FIELDS_BY_CHANNEL: dict[str | None, tuple[str, ...]] = {"email": PLAIN_FIELDS}


def check_message(message: object, attributes: Mapping[str, Attribute], field: str) -> list[Problem]:
    """Everything that keeps a message from being saved; `field` is where it stands in its document."""
    if not isinstance(message, dict):
        return [Problem(field, message, "must be an object")]
    return check_bounds(message, field) or [
        problem
        for path, leaf in leaves(message, field)
        if isinstance(leaf, str) and has_markup(leaf)
        for problem in _template_problems(leaf, attributes, path)
    ]


def _template_problems(text: str, attributes: Mapping[str, Attribute], path: str) -> Iterator[Problem]:
    try:
        names = Template(text, HTML).names
    except InvalidTemplate as error:
        yield Problem(path, text, f"must be a Liquid template: {error}")
        return
    for name in sorted(names - attributes.keys()):
        declared = ", ".join(attributes) or "none"
        yield Problem(path, text, f"must use declared attributes only, not {name!r}; declared: {declared}")


class Renderer:
    """Makes a visitor's message of the visitor's attributes, of which it looks at `names` only."""

    def __init__(self, tree: Any) -> None:
        self.names = frozenset(_names(tree))
        self._tree = tree
        self._of_nobody: dict[str, Any] = _written(tree, _Sheet({}))

    def __call__(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """The message; what is the same for many is one object, so nobody may change it."""
        values = _values(attributes, self.names)
        message: dict[str, Any] = _written(self._tree, _Sheet(values)) if values else self._of_nobody
        return message


def compile_message(message: Mapping[str, Any], channel: str | None) -> Renderer:
    """A message that has passed `check_message`, ready to be written for one visitor after another.

    A message for the web or for no channel is HTML throughout, a mail is but for `PLAIN_FIELDS`, anything else is plain
    text. A template that fails on the attributes given is written as for a visitor without any.
    """
    return Renderer(_read(message, _environment(channel), _PLAIN_FIELDS_BY_CHANNEL.get(channel, ())))


def _environment(channel: str | None) -> Environment:
    return HTML if channel in (None, "web", "email") else PLAIN


def _read(value: Any, environment: Environment, plain_fields: tuple[str, ...]) -> Any:
    """The message with templates in place of the strings that have markup."""
    if isinstance(value, str):
        return Template(value, environment) if has_markup(value) else value
    if isinstance(value, list):
        return [_read(item, environment, plain_fields) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {
        key: _read(item, PLAIN if key.lower() in plain_fields else environment, plain_fields)
        for key, item in value.items()
    }


def _names(tree: Any) -> Iterator[str]:
    if isinstance(tree, Template):
        yield from tree.names
    elif isinstance(tree, dict):
        for item in tree.values():
            yield from _names(item)
    elif isinstance(tree, list):
        for item in tree:
            yield from _names(item)


class _Sheet:
    """One message in the writing: the visitor's values, and the bytes left to write."""

    __slots__ = ("values", "left")

    def __init__(self, values: Mapping[str, object]) -> None:
        self.values = values
        self.left = LARGEST_WRITTEN

    def write(self, template: Template) -> str:
        """The template's text."""
        text = template.write(self.values, limit=self.left)
        self.left = max(0, self.left - len(text.encode()))
        return text


def _written(tree: Any, sheet: _Sheet) -> Any:
    if isinstance(tree, Template):
        return sheet.write(tree)
    if isinstance(tree, dict):
        return {key: _written(item, sheet) for key, item in tree.items()}
    if isinstance(tree, list):
        return [_written(item, sheet) for item in tree]
    return tree


def _values(attributes: Mapping[str, Any], names: Iterable[str]) -> dict[str, object]:
    return {name: _clean(attributes[name]) for name in names if attributes.get(name) is not None}


def _clean(value: object) -> object:
    if isinstance(value, str):
        return value if value.isprintable() else "".join(map(_clean_character, value))
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return plain_number(value) if isinstance(value, float) and isfinite(value) else value


def _clean_character(character: str) -> str:
    if unicodedata.category(character) not in ("Cc", "Zl", "Zp"):
        return character
    return " " if character.isspace() else ""
