"""The command that takes tables of an experiment away, or its whole history."""

from pathlib import Path

import click

from experiments.exports import AGGREGATE
from experiments.exports import ROW_LEVEL
from experiments.exports import export as exported
from experiments.history.export import export_history
from experiments.storage.history_folder import HistoryFolder
from experiments.times import iso
from service.commands.opened import opened
from service.tables.export_files import KINDS
from service.tables.export_files import file_of
from service.tables.output import output


@click.command()
@click.argument("key")
@click.option("--table", type=click.Choice([*ROW_LEVEL, *AGGREGATE]))
@click.option("--format", "kind", type=click.Choice([*KINDS]), default="csv", show_default=True)
@click.option("--out", default="-", metavar="FILE", help="Where the table goes.  [default: stdout]")
@click.option("--history", metavar="FOLDER", help="Write the whole history there, or what has come since.")
def export(key: str, table: str | None, kind: str, out: str, history: str | None) -> None:
    """Write a table of an experiment, row by row however long it is, or its history as Parquet.

    Visitors have names that are good for this experiment's exports alone. Cells of few visitors have no figures in
    tables. A history goes on where it was left, and is written anew once anybody was erased.

    \b
    Example:
      bespoke export spring-mailing --table exposures --format parquet --out exposures.parquet
      bespoke export spring-mailing --history history
    """
    if (table is None) == (history is None):
        raise click.UsageError("either --table or --history must say what is to be written")
    if history is not None:
        _check_alone()
        _write_history(key, history)
    elif table is not None:
        _write_table(key, table, kind, out)


def _check_alone() -> None:
    context = click.get_current_context()
    for name, option in (("kind", "--format"), ("out", "--out")):
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError(f"{option} is of a table: a history is a folder of Parquet")


def _write_history(key: str, history: str) -> None:
    folder = HistoryFolder(Path(history), key)
    with opened() as installation:
        now_ms = installation.clock.now_ms()
        whole = export_history(installation.store, key, folder, keyring=installation.keyring, now_ms=now_ms)
    assert whole.taken_ms is not None, "it is finished"
    rows = {table: sum(file.rows for file in whole.of(table)) for table in ("exposures", "outcomes")}
    told = " and ".join(f"{n:,} rows of {table}" for table, n in rows.items())
    click.echo(f"{folder.path}: {told}, as of {iso(whole.taken_ms)}: all that was accepted before is in it")


def _write_table(key: str, table: str, kind: str, out: str) -> None:
    with opened() as installation:
        found = exported(
            installation.store, key, table, keyring=installation.keyring, min_cell=installation.config.min_cell
        )
        pieces = file_of(found, kind)
        with output(out) as stream:
            for piece in pieces:
                stream.buffer.write(piece)
