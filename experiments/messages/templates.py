"""Templates: one text with Liquid markup, read once, written for many visitors.

Of Liquid (https://shopify.github.io/liquid/) there are outputs, the tags `if`, `unless` and `case`, and
`experiments.messages.filters`: nothing that repeats, assigns, includes or looks at a clock.
"""

import re
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

from liquid import Environment
from liquid.builtin.content import Literal
from liquid.builtin.illegal import Illegal
from liquid.builtin.output import Output
from liquid.builtin.tags.case_tag import CaseTag
from liquid.builtin.tags.if_tag import IfTag
from liquid.builtin.tags.unless_tag import UnlessTag
from liquid.context import RenderContext
from liquid.exceptions import LiquidError
from liquid.output import LimitedStringIO
from liquid.template import BoundTemplate
from liquid.utils import ReadOnlyChainMap

from experiments.errors import shown
from experiments.messages.filters import FILTERS

LONGEST_MARKUP = 1000
LARGEST_TEXT = 1 << 16
_DEEPEST_NESTING = 8
_LONGEST_BLANK = 100

TAGS = ("if", "elsif", "else", "endif", "unless", "endunless", "case", "when", "endcase")

#: What may follow a name, as in `tags.size`.
_PROPERTIES = ("size", "first", "last")

_OPENING = re.compile(r"\{\{|\{%")
_CLOSING = {"{{": "}}", "{%": "%}"}
_TAG_NAME = re.compile(r"-?\s*(\w*)")
_BLANK = re.compile(rf"\s{{{_LONGEST_BLANK + 1}}}")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")

# Liquid lets some errors of Python through: a text that is no UTF-8, a number too large to convert.
_FAILURES = (LiquidError, ValueError, ArithmeticError)


class InvalidTemplate(ValueError):
    """The text cannot be a template; the message says what of it."""


class _Context(RenderContext):
    """Values and nothing else: Liquid's own has the present time under `now` and `today`."""

    def __init__(self, template: BoundTemplate, values: Mapping[str, object]) -> None:
        super().__init__(template)
        self.scope = ReadOnlyChainMap(values)


class _Environment(Environment):
    block_nesting_limit = _DEEPEST_NESTING

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Register what is allowed; anything else is illegal to the parser."""
        for tag in (Literal, Output, Illegal, IfTag, UnlessTag, CaseTag):
            self.add_tag(tag)
        self.filters.update(FILTERS)


#: Values are escaped for HTML; the template's own text never is.
HTML: Environment = _Environment(autoescape=True)

#: Values stand as they are.
PLAIN: Environment = _Environment(autoescape=False)


def has_markup(text: str) -> bool:
    """Whether a text is more than itself."""
    return "{{" in text or "{%" in text


class Template:
    """A text with markup, in one environment; `names` are the attributes it looks at."""

    def __init__(self, text: str, environment: Environment) -> None:
        """Read the text.

        :raises InvalidTemplate: if it is not in our part of Liquid, or cannot be written without attributes.
        """
        for opening, markup in _pieces(text):
            _check_piece(opening, markup)
        self._bound = _parsed(text, environment)
        analysis = self._bound.analyze(include_partials=False)
        _check_filters(analysis.filters)
        variables = [variable.segments for found in analysis.variables.values() for variable in found]
        self.names = frozenset(map(_attribute_name, variables))
        self._default = self._default_text()

    def write(self, values: Mapping[str, object], *, limit: int = LARGEST_TEXT) -> str:
        """The text for these values; as for a visitor without attributes, if that fails or is over `limit` bytes."""
        try:
            return self._written(values, min(limit, LARGEST_TEXT))
        except Exception:
            # Whatever Liquid meets in a visitor's attributes, the visitor gets a message and not an error.
            return self._default

    def _default_text(self) -> str:
        try:
            return self._written({}, LARGEST_TEXT)
        except _FAILURES as error:
            raise InvalidTemplate(f"cannot be written without attributes: {_first_line(error)}") from error

    def _written(self, values: Mapping[str, object], limit: int) -> str:
        context = _Context(self._bound, values)
        buffer = LimitedStringIO(limit)
        for node in self._bound.nodes:
            node.render(context, buffer)
        return buffer.getvalue()


def count_markup(text: str) -> int:
    """How many outputs and tags a text has.

    :raises InvalidTemplate: if one of them is not closed.
    """
    return sum(1 for _ in _pieces(text))


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    # Liquid's lexer is regular expressions that backtrack; these bounds keep it linear.
    position = 0
    while opening := _OPENING.search(text, position):
        end = text.find(_CLOSING[opening.group()], opening.end())
        if end < 0:
            raise InvalidTemplate(f"{opening.group()} is never closed by {_CLOSING[opening.group()]}")
        yield opening.group(), text[opening.end() : end]
        position = end + 2


def _check_piece(opening: str, markup: str) -> None:
    if not markup.strip(" \t\r\n-"):
        raise InvalidTemplate(f"{opening} {_CLOSING[opening]} is empty")
    if len(markup) > LONGEST_MARKUP or _BLANK.search(markup):
        raise InvalidTemplate(f"{shown(markup)} is longer than {LONGEST_MARKUP}, or has {_LONGEST_BLANK} spaces")
    # `(1..1000000000) contains 'x'` would go through them all.
    if ".." in _QUOTED.sub("", markup):
        raise InvalidTemplate("ranges are not supported")
    if opening == "{%":
        _check_tag(markup)


def _check_tag(markup: str) -> None:
    found = _TAG_NAME.match(markup)
    name = found.group(1) if found else ""
    if name not in TAGS:
        raise InvalidTemplate(f"tag {shown(name or markup)} is not supported; supported: {', '.join(TAGS)}")


def _check_filters(filters: Mapping[str, object]) -> None:
    for name in filters:
        if name not in FILTERS:
            raise InvalidTemplate(f"filter {shown(name)} is not supported; supported: {', '.join(FILTERS)}")


def _parsed(text: str, environment: Environment) -> BoundTemplate:
    try:
        return environment.from_string(text)
    except _FAILURES as error:
        raise InvalidTemplate(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _attribute_name(segments: Sequence[object]) -> str:
    name, *rest = segments
    if not isinstance(name, str):
        raise InvalidTemplate("an attribute must be named, not computed")
    if len(rest) > 1 or any(not isinstance(step, int) and step not in _PROPERTIES for step in rest):
        raise InvalidTemplate(f"{name!r} has no such property; there are {', '.join(_PROPERTIES)} and numbers")
    return name
