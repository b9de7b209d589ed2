"""Text for a terminal, at most 100 columns wide, whatever is written in it."""

import unicodedata
from collections.abc import Iterator
from collections.abc import Sequence
from textwrap import wrap

WIDTH = 100


def columns(widths: Sequence[tuple[str, int]], cells: Sequence[str]) -> str:
    """Cells under headings of these widths: the first stands left, figures stand right."""
    (_, first), *rest = widths
    row = [fitted(cells[0], first), *(cell.rjust(width) for cell, (_, width) in zip(cells[1:], rest, strict=True))]
    return " ".join(row).rstrip()


def paragraph(text: str) -> Iterator[str]:
    """A text in lines."""
    text = _printable(text)
    # A wide letter takes two columns, and wrapping counts it as one.
    yield from wrap(text, WIDTH if _width(text) <= len(text) else WIDTH // 2, subsequent_indent="  ") or [""]


def fitted(text: str, width: int) -> str:
    """Cut or padded to so many columns of the terminal."""
    text = _printable(text)
    if _width(text) > width:
        while _width(text) > width - 2:
            text = text[:-1]
        text += ".."
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    return sum(_columns_of(character) for character in text)


def _columns_of(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _printable(text: str) -> str:
    """The text without what would command the terminal or turn its direction."""
    return "".join(character if character.isprintable() else "?" for character in text)
