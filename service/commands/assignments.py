"""The command that assigns the visitors of a table: a mail-merge."""

import csv
from collections import Counter
from collections.abc import Iterator
from typing import IO

import click

from experiments.assigned_lists import Assigned
from experiments.assigning import Order
from experiments.assigning import assign as assign_visitors
from experiments.batches import BATCH
from experiments.batches import BATCH_OF_READERS
from experiments.batches import batched
from experiments.errors import Capped
from experiments.errors import InvalidContext
from experiments.evaluation import live_entry
from experiments.events import message_id
from service.commands.opened import opened
from service.installation import Installation
from service.tables.mailing import Mailing
from service.tables.output import output
from service.tables.progress import watched
from service.tables.reader import Row
from service.tables.reader import Table


@click.command()
@click.argument("key")
@click.argument("visitors", type=click.File("rb"), metavar="VISITORS.csv")
@click.option("--out", default="-", metavar="FILE", help="Where the table goes.  [default: stdout]")
@click.option("--dry-run", is_flag=True, help="Count nobody as exposed.")
@click.option(
    "--message-id", metavar="TEXT",
    help="Tells one mailing of the experiment from another: a visitor counts once in each.",
)
def assign(key: str, visitors: IO[bytes], out: str, dry_run: bool, message_id: str | None) -> None:
    """Give each visitor of a table an arm and its message, and count the visitor as exposed.

    The column `visitor` or `id` names the visitor; columns with the names of attributes are read as their types, an
    empty cell is none. All columns are kept behind the new ones. `-` reads stdin. Whoever was exposed before keeps the
    arm, and repeating the command counts nobody twice: do so if it was interrupted.

    \b
    Example:
      bespoke assign spring-mailing customers.csv --out letters.csv
    """
    with opened(recording=True) as installation, output(out) as stream:
        order = Order(key, not dry_run, _call_id(message_id), installation.config.frequency_cap)
        table = Table(visitors)
        mailing = Mailing(table, live_entry(installation.snapshots.latest, key).experiment)
        for name in mailing.unknown_attributes:
            click.echo(f"{table.name}: no column is named {name}: this attribute is null for everybody", err=True)
        fates = _write(stream, mailing, _assigned(installation, order, table=table, mailing=mailing))
    click.echo(f"{key}: {_said(fates)}", err=True)


def _call_id(text: str | None) -> bytes | None:
    return message_id({"messageId": text})


def _assigned(
    installation: Installation, order: Order, *, table: Table, mailing: Mailing
) -> Iterator[tuple[Row, Assigned | Capped]]:
    for rows in batched(watched(table), size=BATCH if order.exposes else BATCH_OF_READERS):
        answers = assign_visitors(
            installation.store,
            installation.snapshots,
            order,
            visitors=[mailing.visitor(row) for row in rows],
            asking=installation.asking(),
            keyring=installation.keyring,
            log=installation.log,
        )
        for assignment, n in answers.counts():
            installation.tallies.evaluated(order.experiment, assignment, n)
        for row, answer in zip(rows, answers.each(), strict=True):
            if isinstance(answer, InvalidContext) and not isinstance(answer, Capped):
                raise table.fault(row.line, str(answer))
            yield row, answer


def _write(stream: IO[str], mailing: Mailing, assigned: Iterator[tuple[Row, Assigned | Capped]]) -> Counter[str]:
    """Write the table, without those who are left out; how many visitors met which fate."""
    fates: Counter[str] = Counter()
    writer = csv.writer(stream)
    writer.writerow(mailing.columns)
    for row, each in assigned:
        if isinstance(each, Capped):
            fates[f"left out: {each.code}"] += 1
            continue
        writer.writerow(mailing.cells(row, each.evaluation))
        fates[_fate(each)] += 1
    return fates


def _fate(assigned: Assigned) -> str:
    if assigned.exposure is None:
        return "not counted: dry run"
    if assigned.exposure.status == "ignored":
        return f"not counted: {assigned.evaluation.assignment.cause}"
    return "counted before" if assigned.exposure.status == "duplicate" else "counted"


def _said(fates: Counter[str]) -> str:
    left_out = sum(n for fate, n in fates.items() if fate.startswith("left out"))
    return ", ".join((f"{fates.total() - left_out} assigned", *(f"{n} {fate}" for fate, n in sorted(fates.items()))))
