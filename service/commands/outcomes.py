"""The command that records a table of outcomes."""

import secrets
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import IO
from typing import get_args

import click

from experiments.batches import batched
from experiments.errors import BespokeError
from experiments.receipts import Receipt
from experiments.receipts import Status
from experiments.recording import Sender
from experiments.recording import record as record_events
from service.commands.opened import opened
from service.installation import Installation
from service.tables.outcomes import Outcomes
from service.tables.outcomes import added_up
from service.tables.progress import watched
from service.tables.reader import Row
from service.tables.reader import Table

#: Rows that are told one by one; there may be a million of them.
_MOST_TOLD = 20


class RejectedRows(BespokeError):
    """Some rows were not recorded."""

    code = "rejected_rows"


@click.command()
@click.argument("file", type=click.File("rb"), metavar="FILE.csv")
def record(file: IO[bytes]) -> None:
    """Record outcomes from a CRM, a survey or an export, believed as if a server key had sent them.

    Columns: `visitor` and `event`; `timestamp` (ISO 8601, none is now), `id`, and `properties` (JSON) as you have
    them. Any other column is a property, and goes before one of the same name in `properties`. Rows without an id are
    known by what they say: recording a table twice counts it once, and two rows that are alike count once too. `-`
    reads stdin. Exit status 1 if a row was rejected.

    \b
    Example:
      bespoke record orders.csv
    """
    with opened(recording=True) as installation:
        table = Table(file)
        outcomes = Outcomes(table, numbers=added_up(installation.snapshots.latest))
        fates = _tell(_recorded(installation, outcomes, table=table))
    click.echo(", ".join(f"{status} {fates[status]}" for status in get_args(Status)))
    if fates["rejected"]:
        raise RejectedRows(f"{fates['rejected']} of {fates.total()} rows were rejected")


def _recorded(installation: Installation, outcomes: Outcomes, *, table: Table) -> Iterator[tuple[Row, Receipt]]:
    for rows in batched(watched(table)):
        receipts = record_events(
            installation.store,
            installation.snapshots,
            items=[outcomes.event(row) for row in rows],
            sent_at=None,
            sender=Sender(trusted=True, received_ms=installation.clock.now_ms()),
            terms=installation.terms(),
            keyring=installation.keyring,
            fresh_id=partial(secrets.token_bytes, 16),
            log=installation.log,
        )
        yield from zip(rows, receipts, strict=True)


def _tell(recorded: Iterator[tuple[Row, Receipt]]) -> Counter[str]:
    """Say what was not recorded, as far as anybody reads; how many rows met which fate."""
    fates: Counter[str] = Counter()
    told = 0
    for row, receipt in recorded:
        fates[receipt.status] += 1
        if receipt.status in ("rejected", "ignored"):
            told += 1
            if told <= _MOST_TOLD:
                click.echo(f"line {row.line}: {receipt.code}: {receipt.detail or receipt.status}", err=True)
    if told > _MOST_TOLD:
        click.echo(f"and {told - _MOST_TOLD} more", err=True)
    return fates
