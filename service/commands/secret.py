"""Commands for the secret: print a new one, change the one beside an embedded database, end the one before."""

import secrets
from contextlib import closing

import click

from experiments.errors import InvalidSetting
from experiments.rotation import follow
from service.commands.opened import config_in_force
from service.commands.opened import deed
from service.config import Config
from service.installation import open_installation
from service.operation.secret import forget_previous
from service.operation.secret import fresh_secret
from service.operation.secret import kept_secrets
from service.operation.secret import replace_secret


@click.group()
def secret() -> None:
    """Make and change the installation's secret; visitors keep their arms, exposures and objections."""


@secret.command()
def new() -> None:
    """Print a secret that nobody knows yet, alone; nothing is changed.

    \b
    Example:
      bespoke secret new > /run/secrets/bespoke-next
    """
    click.echo(fresh_secret())


@secret.command()
def rotate() -> None:
    """Change the secret that is kept beside an embedded database; no server may be running.

    What the one before has signed, tokens, links and forms, stays good until `bespoke secret forget`. A secret that is
    given as BESPOKE_SECRET is changed by giving another one, and it as BESPOKE_SECRET_PREVIOUS.

    \b
    Example:
      bespoke secret rotate
    """
    config = config_in_force()
    _check_kept(config)
    # Held as by a server: none signs with the old one any more.
    with closing(open_installation(config, serving=True)) as installation:
        if kept_secrets(config).previous is not None:
            raise InvalidSetting(f"{config.previous_secret_path}: is still good; end it first: bespoke secret forget")
        follow(installation.store, replace_secret(config), random=secrets.token_bytes, deed=deed(installation))
    click.echo(f"{config.secret_path} is new; {config.previous_secret_path} is good until `bespoke secret forget`")


@secret.command()
def forget() -> None:
    """End what the secret before has signed: tokens, links and forms. A running server ends them once it is restarted.

    \b
    Example:
      bespoke secret forget
    """
    config = config_in_force()
    _check_kept(config)
    with closing(open_installation(config)) as installation:
        follow(installation.store, kept_secrets(config), random=secrets.token_bytes, deed=deed(installation))
    path = config.previous_secret_path
    click.echo(f"{path} is gone" if forget_previous(config) else f"{path}: there is none")


def _check_kept(config: Config) -> None:
    if config.secret is not None:
        raise InvalidSetting("BESPOKE_SECRET: is given, and not kept beside the database: give another one there")
    if config.secret_previous is not None:
        raise InvalidSetting("BESPOKE_SECRET_PREVIOUS: is given: leave it out, the one before is kept beside the other")
