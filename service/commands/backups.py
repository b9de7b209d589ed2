"""Commands for backups: make one beside the running server, and bring one back."""

import secrets
from pathlib import Path

import click

from experiments.backups import back_up
from experiments.backups import restore as restored
from experiments.errors import InvalidSetting
from experiments.errors import shown
from experiments.storage.location import Location
from service.commands.opened import config_in_force
from service.commands.opened import opened
from service.operation.clock import SystemClock
from service.operation.secret import kept_secrets
from service.settings import database


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(file: Path) -> None:
    """Copy the database into FILE, with its checksum in FILE.sha256, while the server runs.

    Everything acknowledged before the command began is in it. The secret is not: keep it elsewhere, since without it
    no backup can be restored.

    \b
    Example:
      bespoke backup /backups/bespoke-$(date +%F).db
    """
    with opened() as installation:
        back_up(installation.store, installation.config.database, file, now_ms=installation.clock.now_ms())
    click.echo(f"{file}: {file.stat().st_size} bytes; the secret is not in it, keep that elsewhere")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--erasures-of", "others", multiple=True, metavar="DATABASE",
    help="Another database, as in BESPOKE_DATABASE_URL: whoever was erased there is erased again; may be repeated.",
)
def restore(file: Path, others: tuple[str, ...]) -> None:
    """Bring the database back from FILE, which `bespoke backup` made; the old one is kept beside it.

    Whoever was erased in the old one is erased again. PostgreSQL has no old one, since it must be empty: name the
    database that it replaces, or a newer backup.

    Refused while a server, a scheduler or a command has the database open, and where FILE is damaged, of a newer
    version, or made with another secret.

    \b
    Example:
      bespoke restore /backups/bespoke-2026-12-01.db
    """
    config = config_in_force()
    done = restored(
        file,
        config.database,
        secrets=kept_secrets(config),
        random=secrets.token_bytes,
        erasures_of=[_database(text) for text in others],
        now_ms=SystemClock().now_ms(),
    )
    click.echo(f"{config.database} is as {file} has it" + (f"; the old one is {done.aside}" if done.aside else ""))
    if done.erased:
        click.echo(f"{done.erased} visitors who were erased since are erased again")
    if done.fault:
        click.echo(f"erase again whoever was erased since: the old database does not tell ({done.fault})", err=True)


def _database(text: str) -> Location:
    try:
        return database(text)
    except ValueError as error:
        raise InvalidSetting(f"--erasures-of: {shown(text)} {error}") from error
