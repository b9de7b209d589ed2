"""The papers on privacy as Markdown."""

from collections.abc import Iterator

from service.privacy.papers import Paper
from service.privacy.papers import Row
from service.privacy.papers import Section


def privacy_text(found: list[Paper]) -> str:
    """Papers, one after the other."""
    return "\n".join(line for paper in found for line in _lines(paper))


def _lines(paper: Paper) -> Iterator[str]:
    yield f"# {paper.title}\n"
    for section in paper.sections:
        yield f"## {section.heading}\n"
        yield from (f"{sentence}\n" for sentence in section.sentences)
        if section.rows:
            yield from _table(section)


def _table(section: Section) -> Iterator[str]:
    yield _row(section.columns)
    yield "|---" * len(section.columns) + "|"
    yield from map(_row, section.rows)
    yield ""


def _row(cells: Row) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
