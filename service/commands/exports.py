"""The command that takes tables of an experiment away."""

import click

from experiments.exports import AGGREGATE
from experiments.exports import ROW_LEVEL
from experiments.exports import export as exported
from service.commands.opened import opened
from service.export_files import KINDS
from service.export_files import file_of
from service.output import output


@click.command()
@click.argument("key")
@click.option("--table", type=click.Choice([*ROW_LEVEL, *AGGREGATE]), required=True)
@click.option("--format", "kind", type=click.Choice([*KINDS]), default="csv", show_default=True)
@click.option("--out", default="-", metavar="FILE", help="Where the table goes.  [default: stdout]")
def export(key: str, table: str, kind: str, out: str) -> None:
    """Write a table of an experiment, row by row however long it is.

    Visitors have names that are good for this experiment's exports alone. Cells of few visitors have no figures.

    \b
    Example:
      bespoke export spring-mailing --table exposures --format parquet --out exposures.parquet
    """
    with opened() as installation:
        found = exported(
            installation.store, key, table, keyring=installation.keyring, min_cell=installation.config.min_cell
        )
        pieces = file_of(found, kind)
        with output(out) as stream:
            for piece in pieces:
                stream.buffer.write(piece)
