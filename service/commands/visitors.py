"""Commands for a visitor's rights: to read all that is known, and to have it erased."""

import sys

import click
import msgspec

from experiments.privacy.access import access
from experiments.privacy.erasure import erase as erase_visitor
from experiments.privacy.erasure import erase_again
from experiments.times import iso
from service.commands.opened import deed
from service.commands.opened import opened
from service.installation import Installation


@click.command()
@click.argument("visitor")
def visitor(visitor: str) -> None:
    """Show all that is known of VISITOR, as JSON; `-` reads the id from stdin, where no list of processes shows it.

    \b
    Example:
      bespoke visitor ann
    """
    with opened() as installation:
        found = access(installation.store, _id(visitor), keyring=installation.keyring)
    click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())


@click.command()
@click.argument("visitor", required=False)
@click.option("--again", is_flag=True, help="Whoever was erased, and is known again since a shard was brought back.")
def erase(visitor: str | None, again: bool) -> None:
    """Erase all that is known of VISITOR; `-` reads the id from stdin, where no list of processes shows it.

    Counts stay as they are. Events and tokens of the visitor that still come are ignored, as long as they may.

    \b
    Example:
      bespoke erase ann
    """
    if (visitor is None) != again:
        raise click.UsageError("name a visitor, or say --again")
    with opened() as installation:
        click.echo(_erased_again(installation) if visitor is None else _erased(installation, _id(visitor)))


def _erased(installation: Installation, visitor: str) -> str:
    gone = erase_visitor(
        installation.store,
        visitor,
        keyring=installation.keyring,
        remembering=installation.remembering(),
        deed=deed(installation),
    )
    return (
        f"{gone.exposures} exposures and {gone.events} events are erased; until {iso(gone.until_ms)} nothing that still"
        " comes is stored"
    )


def _erased_again(installation: Installation) -> str:
    erased = erase_again(installation.store, keyring=installation.keyring, deed=deed(installation))
    return f"{erased} visitors who were erased are erased again"


def _id(text: str) -> str:
    """The id itself, byte for byte but for the end of its line."""
    return sys.stdin.readline().rstrip("\r\n") if text == "-" else text
