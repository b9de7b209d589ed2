"""How far a command has come in its table, shown to whoever watches it and to nobody else."""

import sys
from collections.abc import Iterator

import click

from service.tables.reader import Row
from service.tables.reader import Table

_STEPS = 200


def watched(table: Table) -> Iterator[Row]:
    """The rows of a table, with a bar on stderr; without a length or a terminal there is none."""
    if not table.length or not sys.stderr.isatty():
        yield from table.rows()
        return
    step, shown = table.length // _STEPS, 0
    with click.progressbar(length=table.length, file=sys.stderr) as bar:
        for row in table.rows():
            yield row
            if table.read - shown > step:
                bar.update(table.read - shown)
                shown = table.read
        bar.update(table.read - shown)
