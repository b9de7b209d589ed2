"""The figures as a table to print, and as the part of `docs/benchmarks.md` that is written anew by each whole run."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rows import COLUMNS
from benchmarks.rows import CURVE_COLUMNS
from benchmarks.rows import Curve
from benchmarks.rows import Row

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"

_BEGIN = "<!-- figures: `make bench` writes from here"
_END = "<!-- to here -->"


def printed(found: Sequence[Row | Curve]) -> str:
    """Both tables for a terminal, in columns."""
    return "\n\n".join("\n".join(_aligned(columns, lines)) for columns, lines in _tables(found))


def rewritten(text: str, found: Sequence[Row | Curve], *, facts: Mapping[str, str]) -> str:
    """A page with its figures replaced.

    :raises ValueError: if the page does not say where they stand.
    """
    before, begin, rest = text.partition(_BEGIN)
    comment, _, _ = rest.partition("\n")
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"the page must have {_BEGIN} … --> and {_END}")
    tables = "\n\n".join("\n".join(_markdown(columns, lines)) for columns, lines in _tables(found))
    where = "; ".join(f"{name} {value}" for name, value in facts.items())
    return f"{before}{begin}{comment}\n\n{tables}\n\nMeasured on: {where}.\n\n{end}{after}"


def _tables(found: Sequence[Row | Curve]) -> Iterator[tuple[Sequence[str], list[tuple[str, ...]]]]:
    for columns, kind in ((COLUMNS, Row), (CURVE_COLUMNS, Curve)):
        if lines := [each.cells() for each in found if isinstance(each, kind)]:
            yield columns, lines


def _aligned(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, cells)) for cells in zip(columns, *lines, strict=True)]
    for line in (columns, *lines):
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def _markdown(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> Iterator[str]:
    for line in (columns, ["---"] * len(columns), *lines):
        yield f"| {' | '.join(line)} |"
