"""Commands for spools: what waits in each, and what becomes of one that is lost with its disk."""

from collections.abc import Iterator

import click

from experiments.log.spool_losses import forget_spool
from experiments.log.spool_losses import is_away
from experiments.reading.reasons import parse_reason
from experiments.storage.spools import SpoolRow
from experiments.times import iso
from service.cluster.joining import sharded_store
from service.commands.opened import deed
from service.commands.opened import opened
from service.operation.disk import written


@click.group()
def spool() -> None:
    """List what nodes have accepted and shards do not have yet, and give up what is lost."""


@spool.command("list")
def list_() -> None:
    """List the spools, first the one that holds reports back most: where it is, and what waits in it.

    \b
    Example:
      bespoke spool list
    """
    with opened() as installation:
        rows = sharded_store(installation).read(lambda session: session.spools.all())
        now_ms = installation.clock.now_ms()
    for row in rows:
        click.echo(f"{row.writer}  {row.place}  {', '.join(_told(row, now_ms=now_ms))}")


def _told(row: SpoolRow, *, now_ms: int) -> Iterator[str]:
    if is_away(row, now_ms=now_ms):
        yield f"away since {iso(row.seen_ms)}"
    if row.pending_ms is None:
        yield "nothing waits"
    else:
        yield f"{row.entries} entries wait since {iso(row.pending_ms)}, {written(row.bytes)} on disk"


@spool.command()
@click.argument("writer", metavar="SPOOL")
@click.option("--reason", required=True, help="Why what waits there will not come, for the audit log.")
def forget(writer: str, reason: str) -> None:
    """Accept that a spool is lost, so that reports are complete again; they say from then on that something is missing.

    Refused while its node is there. Should the disk turn up after all, a node that is started on it brings what waits,
    and the loss is none.

    \b
    Example:
      bespoke spool forget 5f3a09c1d2e4b687 --reason "the disk of node two has died"
    """
    said = parse_reason(reason)
    with opened() as installation:
        lost = forget_spool(sharded_store(installation), writer, deed=deed(installation)._replace(reason=said))
    click.echo(f"{writer}: what was accepted there since {iso(lost.since_ms)} and not counted is given up")
