"""Commands for the database: make it, and check it."""

import click

from experiments.errors import BespokeError
from experiments.signing import keyring
from experiments.storage.location import Location
from experiments.storage.store import migrate_database
from experiments.verification import verify as differences
from experiments.verification import verify_histories
from service.cluster import named_shards
from service.cluster import shards_beside
from service.commands.histories import all_histories
from service.commands.histories import check_unnamed
from service.commands.histories import history_options
from service.commands.opened import config_in_force
from service.commands.opened import opened
from service.installation import Installation
from service.secret import secret_of


@click.command()
def init() -> None:
    """Create the database, or bring it and its shards up to date.

    \b
    Example:
      BESPOKE_DATABASE_URL=sqlite:////var/lib/bespoke/bespoke.db bespoke init
    """
    config = config_in_force()
    fingerprint = keyring(secret_of(config)).fingerprint
    _bring_up(config.database, fingerprint=fingerprint)
    for shard in named_shards(config, fingerprint=fingerprint):
        _bring_up(shard, fingerprint=fingerprint)


def _bring_up(database: Location, *, fingerprint: str) -> None:
    steps = migrate_database(database, fingerprint=fingerprint)
    click.echo(f"{database}: {', '.join(steps) + ' applied' if steps else 'is up to date'}")


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
