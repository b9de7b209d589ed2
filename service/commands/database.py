"""Commands for the database: make it, and check it."""

import secrets

import click

from experiments.audit import Deed
from experiments.errors import BespokeError
from experiments.rotation import follow
from experiments.signing import Succession
from experiments.storage.location import Location
from experiments.storage.store import Store
from experiments.storage.store import migrate_database
from experiments.storage.store import migrate_own
from experiments.storage.store import open_own
from experiments.verification import verify as differences
from experiments.verification import verify_histories
from service.cluster.joining import named_shards
from service.cluster.joining import shards_beside
from service.commands.histories import all_histories
from service.commands.histories import check_unnamed
from service.commands.histories import history_options
from service.commands.opened import config_in_force
from service.commands.opened import opened
from service.installation import Installation
from service.operation.clock import SystemClock
from service.operation.secret import secrets_of


@click.command()
def init() -> None:
    """Create the database, or bring it and its shards up to date.

    \b
    Example:
      BESPOKE_DATABASE_URL=sqlite:////var/lib/bespoke/bespoke.db bespoke init
    """
    config = config_in_force()
    own = secrets_of(config)
    _tell(config.database, migrate_own(config.database, secrets=own, random=secrets.token_bytes))
    store, keys = open_own(config.database, secrets=own)
    try:
        _follow(store, own)
        shards = named_shards(config, store)
    finally:
        store.close()
    for shard in shards:
        _tell(shard, migrate_database(shard, fingerprint=keys.fingerprint))


def _tell(database: Location, steps: list[str]) -> None:
    click.echo(f"{database}: {', '.join(steps) + ' applied' if steps else 'is up to date'}")


def _follow(store: Store, own: Succession) -> None:
    if follow(store, own, random=secrets.token_bytes, deed=Deed("command line", SystemClock().now_ms())):
        click.echo("the secret has changed: from now on only BESPOKE_SECRET as it is opens the database")


class Differences(BespokeError):
    """The database contradicts itself."""

    code = "differences"


@click.command()
@history_options
def verify(history: str | None, engine: str | None) -> None:
    """Recount raw events against the counters, and check the chains of the ledger and of the audit log.

    Exit status 1 on any difference; each one is named, with the rows that it comes from. The hashes that it prints
    stand for everything up to now: kept elsewhere, they show whether a chain was written anew since.

    With a history, what it holds is recounted, and held against the cells that there were when it was taken.

    \b
    Example:
      bespoke verify
      bespoke verify --history history --engine spark://master:7077
    """
    with opened() as installation:
        found = _differences(installation, history, engine)
        heads = installation.store.read(lambda session: session.heads.all())
    for line in found:
        click.echo(line, err=True)
    if found:
        raise Differences(f"{len(found)} differences were found")
    click.echo("counters and ledger agree with the events, and the audit log is whole")
    for head in heads:
        click.echo(f"{head.chain}: {head.number} rows, the last one {head.hash}")


def _differences(installation: Installation, history: str | None, engine: str | None) -> list[str]:
    if history is not None:
        return verify_histories(installation.store, all_histories(history, engine))
    check_unnamed(engine)
    return differences(installation.store, shards_beside(installation))
