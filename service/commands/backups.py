"""Commands for backups: make one beside the running server, and bring one back."""

from pathlib import Path

import click

from experiments.backups import back_up
from experiments.backups import restore as restored
from experiments.signing import keyring
from service.clock import SystemClock
from service.commands.opened import config_in_force
from service.commands.opened import opened
from service.secret import kept_secret


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
def restore(file: Path) -> None:
    """Bring the database back from FILE, which `bespoke backup` made; the old one is kept beside it.

    Refused while a server, a scheduler or a command has the database open, and where FILE is damaged, of a newer
    version, or made with another secret.

    \b
    Example:
      bespoke restore /backups/bespoke-2026-12-01.db
    """
    config = config_in_force()
    fingerprint = keyring(kept_secret(config)).fingerprint
    aside = restored(file, config.database, fingerprint=fingerprint, now_ms=SystemClock().now_ms())
    click.echo(f"{config.database} is as {file} has it" + (f"; the old one is {aside}" if aside else ""))
