"""The command that lets visitors object."""

from collections.abc import Iterator
from functools import partial
from typing import IO

import click

from experiments.batches import batched
from experiments.privacy.opt_outs import opt_in
from experiments.privacy.opt_outs import opt_out as let_object
from service.commands.opened import opened
from service.tables.reader import InvalidTable
from service.tables.reader import Table


@click.command("opt-out")
@click.argument("visitor", required=False)
@click.option("--file", type=click.File("rb"), metavar="FILE.csv", help="A table with a column `visitor`, for many.")
@click.option("--undo", is_flag=True, help="Take the objection back.")
def opt_out(visitor: str | None, file: IO[bytes] | None, undo: bool) -> None:
    """Let visitors object: the mass arm from now on, and nothing more of theirs is stored or counted.

    Servers that run heed it within seconds. Once is enough; again changes nothing.

    \b
    Example:
      bespoke opt-out --file objections.csv
    """
    if (visitor is None) == (file is None):
        raise click.UsageError("name a visitor, or give a --file")
    visitors = _visitors(Table(file)) if file else iter([visitor or ""])
    n = 0
    with opened(recording=True) as installation:
        change = opt_in if undo else partial(let_object, log=installation.log)
        for some in batched(visitors):
            change(
                installation.store, installation.snapshots, some, keyring=installation.keyring,
                now_ms=installation.clock.now_ms(),
            )
            n += len(some)
    click.echo(f"{n} {'no longer opted out' if undo else 'opted out'}")


def _visitors(table: Table) -> Iterator[str]:
    if "visitor" not in table.columns:
        raise InvalidTable(f"{table.name}, line 1: a column must be called visitor")
    return (row.cells["visitor"] for row in table.rows())
