"""Patterns of rules (`$regex`): RE2 only, so that no pattern takes more than linear time, whoever wrote it."""

import re
from functools import partial
from typing import Any

import re2

LONGEST_PATTERN = 200

# Bytes for the program of one pattern, which a text may have to go through once for each of its characters: room for
# what 200 characters can ask for, short of repetitions of repetitions.
_PROGRAM_BYTES = 1 << 15

# What RE2 reads as an anchor, a class or a flag, and JavaScript as a plain letter or not at all.
_FOREIGN = re.compile(r"\\[AzQEaCpP]|\(\?P|\(\?[imsU-]|\[\[:")
_PIECE = re.compile(r"\\.|\(\?.|\[\[:|.", re.DOTALL)


class InvalidPattern(ValueError):
    """RE2 refuses the pattern, or would read it as something else than a browser does; the text says what of it."""


def compile_pattern(pattern: str) -> Any:
    """An RE2 expression with `search`, over texts in UTF-8.

    :raises InvalidPattern: if there is none of this meaning.
    """
    for piece in _PIECE.findall(pattern):
        if _FOREIGN.fullmatch(piece):
            raise InvalidPattern(f"{piece} means something else in a browser")
    try:
        return re2.compile(_utf8(pattern), _options())
    except re2.error as error:
        raise InvalidPattern(error.args[0].decode("utf-8", "replace")) from error


def found_in(text: str, *, expression: Any) -> bool:
    """Whether some part of the text matches."""
    return expression.search(_utf8(text)) is not None


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = _PROGRAM_BYTES
    options.log_errors = False
    return options


# RE2 reads valid UTF-8 only, in which a lone surrogate cannot be written.
_utf8 = partial(str.encode, encoding="utf-8", errors="replace")
