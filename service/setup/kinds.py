"""What a form can say: each kind writes a JSON value as texts that people edit, and reads it back. Pure.

A sheet is what a form holds: texts, in objects and lists. Whatever a kind cannot write so that reading gives the same
value back it leaves to the JSON text beside it, so that nothing of a document is lost on its way through a form.
"""

import json
import re
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from decimal import Decimal
from typing import Any
from typing import Protocol

from experiments.amendments import is_same
from experiments.errors import Problem
from service.setup.documents import UnreadableDocument
from service.setup.documents import read_document

#: The texts of a form: a text, or texts in objects and lists.
Sheet = Any

_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?([eE][-+]?[0-9]{1,2})?")


class Unsayable(Exception):
    """A value that the form has no words for."""


class Absent:
    """What a field gives that is left blank."""


ABSENT = Absent()


@dataclass(frozen=True)
class Reading:
    """What reading needs to know and finds: the types of the attributes, and what cannot be read."""

    types: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)


class Kind(Protocol):
    """A part of the form."""

    def trimmed(self, sheet: Sheet) -> Sheet:
        """The sheet with exactly the texts that belong here, whatever was sent."""

    def write(self, value: Any, types: Mapping[str, str]) -> Sheet:
        """The sheet of a value, or `Unsayable`."""

    def read(self, sheet: Sheet, path: str, reading: Reading) -> Any:
        """The value of a trimmed sheet, or `ABSENT`."""


def said(kind: Kind, value: Any, types: Mapping[str, str]) -> Sheet:
    """The sheet from which the very same value is read.

    :raises Unsayable: if there is none.
    """
    sheet, reading = kind.write(value, types), Reading(types)
    if not is_same(kind.read(kind.trimmed(sheet), "", reading), value) or reading.problems:
        raise Unsayable
    return sheet


def json_text(value: object) -> str:
    """A value as JSON that people can edit."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def read_json(text: str, path: str, reading: Reading) -> Any:
    """The value of a JSON text; `ABSENT` where it is blank or none."""
    if not text.strip():
        return ABSENT
    try:
        return read_document(text.encode("utf-8", "surrogatepass"))
    except UnreadableDocument as error:
        reading.problems.append(Problem(path, None, str(error).replace("the document", "the text", 1)))
        return ABSENT


def read_number(text: str) -> Any:
    """The number that a text is; another text stays one, for the document's own rules to refuse."""
    return json.loads(text.strip()) if _NUMBER.fullmatch(text.strip()) else text


def read_percent(text: str) -> Any:
    """The share of 1 that a percentage is."""
    number = text.strip().removesuffix("%").strip()
    if not _NUMBER.fullmatch(number):
        return text
    share = Decimal(number) / 100
    return int(share) if share == int(share) else float(share)


def _number_text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unsayable
    return repr(value)


def _percent_text(value: Any) -> str:
    return f"{(Decimal(_number_text(value)) * 100).normalize():f}"


def _flag_text(value: Any) -> str:
    if not isinstance(value, bool):
        raise Unsayable
    return json.dumps(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Unsayable
    return value


@dataclass(frozen=True)
class Line:
    """A text on one line, and what it means."""

    written: Callable[[Any], str] = _text
    meant: Callable[[str], Any] = str
    breaks: str = "\r\n"

    def trimmed(self, sheet: Sheet) -> str:
        """The text, its lines ended as everywhere; browsers send them as mail does."""
        return sheet.replace("\r\n", "\n").replace("\r", "\n") if isinstance(sheet, str) else ""

    def write(self, value: Any, types: Mapping[str, str]) -> str:
        """The text of a value; no browser would give back another break than those of the field."""
        text = self.written(value)
        if any(character in text for character in self.breaks):
            raise Unsayable
        return text

    def read(self, sheet: str, path: str, reading: Reading) -> Any:
        """What the text means."""
        return self.meant(sheet) if sheet else ABSENT


@dataclass(frozen=True)
class Choice(Line):
    """One of a few words; another cannot be chosen."""

    words: tuple[str, ...] = ()

    def write(self, value: Any, types: Mapping[str, str]) -> str:
        """The word."""
        if _text(value) not in self.words:
            raise Unsayable
        return str(value)


class Json:
    """A number, or anything else as JSON."""

    def trimmed(self, sheet: Sheet) -> str:
        """The text."""
        return Line().trimmed(sheet)

    def write(self, value: Any, types: Mapping[str, str]) -> str:
        """The value as JSON on one line, which for a number is the number."""
        return json.dumps(value, ensure_ascii=False)

    def read(self, sheet: str, path: str, reading: Reading) -> Any:
        """A list or an object where it begins like one, else a number if it is one."""
        if sheet.lstrip()[:1] in ("[", "{"):
            return read_json(sheet, path, reading)
        return read_number(sheet) if sheet else ABSENT


def _lines(value: Any) -> str:
    if not isinstance(value, list) or not all(isinstance(line, str) and line.strip() == line for line in value):
        raise Unsayable
    return "\n".join(value)


def _listed(text: str) -> Any:
    return [line.strip() for line in text.split("\n") if line.strip()]


TEXT = Line()
PARAGRAPH = Line(breaks="\r")
NUMBER = Line(_number_text, read_number)
PERCENT = Line(_percent_text, read_percent)
LINES = Line(_lines, _listed, breaks="\r")
FLAG = Line(_flag_text, lambda text: text == "true")
