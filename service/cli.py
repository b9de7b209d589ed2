"""The command line: `bespoke`. Exit status 0 done, 1 refused with a clear line on stderr, 2 wrong usage."""

import gc
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from experiments.errors import BespokeError
from experiments.errors import InvalidDocument
from experiments.version import VERSION

#: Where each command is, in the order in which they are listed; loaded only when it is asked for.
COMMANDS = {
    "init": "database",
    "secret": "secret",
    "serve": "serving",
    "scheduler": "serving",
    "shard": "shards",
    "worker": "shards",
    "spool": "spools",
    "key": "keys",
    "user": "users",
    "experiment": "experiments",
    "reallocate": "experiments",
    "report": "reports",
    "digest": "digests",
    "assign": "assignments",
    "record": "outcomes",
    "opt-out": "opt_outs",
    "privacy": "privacy",
    "simulate": "simulation",
    "replay": "replay",
    "discover": "discovery",
    "review": "review",
    "frequency": "frequency",
    "export": "exports",
    "visitor": "visitors",
    "erase": "visitors",
    "verify": "database",
    "backup": "backups",
    "restore": "backups",
    "config": "settings",
    "doctor": "doctor",
    "demo": "demonstration",
}


class Commands(click.Group):
    """A group whose commands are imported one by one: scipy takes longer to load than most of them take to run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, or None."""
        if cmd_name not in COMMANDS:
            return None
        # Nothing of what is loaded is garbage: to look for it meanwhile takes an eighth of the time.
        gc.disable()
        command = getattr(import_module(f"service.commands.{COMMANDS[cmd_name]}"), cmd_name.replace("-", "_"))
        gc.enable()
        assert isinstance(command, click.Command)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, prog_name="bespoke")
def cli() -> None:
    """Broadcast, or bespoke? Find out for whom a tailored message beats the one sent to everybody.

    Settings are read from the environment: `bespoke config` lists them.

    \b
    Example:
      bespoke init
      bespoke key create --scope admin
      bespoke serve
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; what is refused goes to stderr, a line for each thing."""
    try:
        cli(arguments, prog_name="bespoke")
    except InvalidDocument as error:
        _refuse(*map(str, error.problems))
    except BespokeError as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"{error.filename or 'the system'}: {error.strerror or error}")


def _refuse(*lines: str) -> None:
    for line in lines:
        click.echo(f"bespoke: {line}", err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
