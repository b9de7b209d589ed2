"""Commands for events that go through a log: the shards that visitors are in, and the workers that apply."""

import os
import secrets
import socket
from threading import Event

import click

from experiments.errors import InvalidShard
from experiments.log.comparison import ArmCounts
from experiments.log.comparison import compare as compared
from experiments.log.moving import move_partitions
from experiments.log.ranges import parse_partitions
from experiments.log.ranges import written
from experiments.log.sharding import add_shard
from experiments.log.sharding import readdress_shard
from experiments.log.sharding import remove_shard
from experiments.log.sharing import Worker
from experiments.storage.location import Server
from experiments.storage.shards import ShardRow
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from experiments.times import iso
from service import settings
from service.cluster.joining import check_can_have_shards
from service.cluster.joining import connected_log
from service.cluster.joining import hear
from service.cluster.joining import sharded_store
from service.cluster.joining import shards_beside
from service.commands.database import Differences
from service.commands.opened import config_in_force
from service.commands.opened import deed
from service.commands.opened import opened
from service.installation import open_installation
from service.operation.collector import spare_the_collector
from service.operation.signals import when_told_to_end


@click.group()
def shard() -> None:
    """Add, list, fill, find again and take out the databases that visitors are in, where events go through a log."""


@shard.command()
@click.argument("name")
@click.argument("address", metavar="URL")
@click.option(
    "--partitions", type=click.IntRange(1, 4096), default=64, show_default=True,
    help="In how many parts visitors are, for good; for the first shard.",
)
def add(name: str, address: str, partitions: int) -> None:
    """Add a PostgreSQL database; the first shard has all visitors, and may be the control database itself.

    \b
    Example:
      bespoke shard add first postgresql://bespoke@database.example/bespoke
    """
    server = _server(address)
    with opened() as installation:
        check_can_have_shards(installation.config)
        fingerprint = installation.keyring.fingerprint
        migrate_database(server, fingerprint=fingerprint)
        store = open_store(server, fingerprint=fingerprint)
        try:
            row, log = ShardRow(name, address), secrets.token_hex(4)
            add_shard(installation.store, store, row, partitions=partitions, log=log, deed=deed(installation))
        finally:
            store.close()
    click.echo(f"{name}: {server} is a shard")


def _server(address: str) -> Server:
    """The database at an address, of which no message tells more than the rule: it may have a password."""
    try:
        return settings.server(address)
    except ValueError as error:
        raise InvalidShard(f"URL: (hidden) {error}") from error


@shard.command("list")
def list_() -> None:
    """List the shards, and the partitions that are in each.

    \b
    Example:
      bespoke shard list
    """
    with opened() as installation:
        check_can_have_shards(installation.config)
        rows, places = installation.store.read(lambda session: (session.shards.all(), session.shards.partitions()))
    for row in rows:
        numbers = [number for number, name in enumerate(places) if name == row.name]
        click.echo(f"{row.name}  {Server(row.address)}  {len(numbers)} partitions: {written(numbers)}".rstrip(": "))


@shard.command("address")
@click.argument("name")
@click.argument("address", metavar="URL")
def readdress(name: str, address: str) -> None:
    """Say by which address a shard is reached from now on: the same database, or one that has all that it had.

    Nothing may write to the database at the former address any more, where that is another one.

    \b
    Example:
      bespoke shard address second postgresql://bespoke@third.example/bespoke
    """
    server = _server(address)
    with opened() as installation:
        store = open_store(server, fingerprint=installation.keyring.fingerprint)
        try:
            readdress_shard(sharded_store(installation), store, ShardRow(name, address), deed=deed(installation))
        finally:
            store.close()
    click.echo(f"{name}: is at {server}")


@shard.command()
@click.argument("partitions")
@click.argument("name")
def move(partitions: str, name: str) -> None:
    """Move partitions to another shard, one after another; nothing stops meanwhile.

    Broken off, it is finished by moving again, and undone by moving to where the partitions were.

    \b
    Example:
      bespoke shard move 0-31,40 second
    """
    numbers = parse_partitions(partitions)
    with opened() as installation:
        move_partitions(
            sharded_store(installation), numbers, name, deed=deed(installation),
            told=lambda number: click.echo(f"partition {number}: is in {name}"),
        )


@shard.command()
@click.argument("name")
def remove(name: str) -> None:
    """Take out a shard that has no partitions any more; its database is not needed then.

    \b
    Example:
      bespoke shard remove first
    """
    with opened() as installation:
        remove_shard(sharded_store(installation), name, deed=deed(installation))
    click.echo(f"{name}: is no shard any more")


@shard.command()
def compare() -> None:
    """Compare what nodes have counted themselves and what has come by the log with the stored events, arm by arm.

    For nodes with and without BESPOKE_LOG_URL side by side: all is read as it stands at one moment, while events come.
    Exit status 1 where the two ways together are not what the events give.

    \b
    Example:
      bespoke shard compare
    """
    with opened() as installation:
        sharded_store(installation)
        found = compared(installation.store, shards_beside(installation))
    click.echo(f"as of {iso(found.watermark_ms)}: all that was accepted before is counted")
    for counts in found.arms:
        click.echo(_line(counts))
    if different := [counts for counts in found.arms if not counts.is_equal]:
        raise Differences(f"{len(different)} of {len(found.arms)} arms are not what the events give")
    click.echo("equal")


def _line(counts: ArmCounts) -> str:
    """One arm: by nodes + by the log = in the events."""
    sums = [
        f"{name} {direct:,} + {logged:,} {'=' if direct + logged == events else 'is not'} {events:,}"
        for name, direct, logged, events in (
            ("visitors", counts.direct.visitors, counts.logged.visitors, counts.events.visitors),
            (counts.goal, counts.direct.total, counts.logged.total, counts.events.total),
        )
    ]
    return f"{counts.experiment}, {counts.arm}: {'; '.join(sums)}"


@click.command()
def worker() -> None:
    """Apply what nodes have put into the log to the shards; as many as you like share the partitions.

    \b
    Example:
      bespoke worker
    """
    config, ended = config_in_force(), Event()
    when_told_to_end(ended.set)
    installation = open_installation(config)
    try:
        store, log = sharded_store(installation), connected_log(installation)
        installation.before_closing(log.close)
        installation.watch()
        hear(installation, log)
        spare_the_collector()
        name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        Worker(store, installation.snapshots, log, name=name, keyring=installation.keyring).run(ended)
    finally:
        installation.close()
