"""The command that shows the settings."""

import click

from service.commands.opened import config_in_force
from service.config import config_lines


@click.command()
def config() -> None:
    """Show the settings in force, secrets hidden.

    Each is an environment variable; NAME_FILE reads NAME from a file.

    \b
    Example:
      BESPOKE_PORT=8080 bespoke config
    """
    for line in config_lines(config_in_force()):
        click.echo(line)
