"""Commands for keys: make, list, end."""

import secrets

import click

from experiments.keys import SCOPES
from experiments.keys import create_key
from experiments.keys import list_keys
from experiments.keys import revoke_key
from experiments.storage.configuration import KeyRow
from experiments.times import iso
from service.commands.opened import deed
from service.commands.opened import opened


@click.group()
def key() -> None:
    """Make, list and end the keys that requests carry."""


@key.command()
@click.option("--scope", type=click.Choice(SCOPES), required=True, help="What the key may do.")
@click.option("--name", default="", help="Who uses it.")
@click.option("--origin", "origins", multiple=True, metavar="URL", help="The only pages that may use it; repeatable.")
def create(scope: str, name: str, origins: tuple[str, ...]) -> None:
    """Make a key and print it, alone: it is shown this once.

    \b
    Example:
      KEY=$(bespoke key create --scope server --name shop)
    """
    with opened() as installation:
        click.echo(
            create_key(
                installation.store,
                scope=scope,
                name=name,
                origins=origins,
                random=secrets.token_bytes,
                deed=deed(installation),
            )
        )


@key.command("list")
def list_() -> None:
    """List the keys by their prefixes, the oldest first.

    \b
    Example:
      bespoke key list
    """
    with opened() as installation:
        for row in list_keys(installation.store):
            click.echo(_line(row))


def _line(row: KeyRow) -> str:
    ended = "" if row.revoked_ms is None else f"  revoked {iso(row.revoked_ms)}"
    about = "  ".join(filter(None, (row.name, *row.origins)))
    return f"{row.prefix}  {row.scope:<6}  {iso(row.created_ms)}  {about}{ended}".rstrip()


@key.command()
@click.argument("prefix")
def revoke(prefix: str) -> None:
    """End the key of a prefix, for good; servers notice within a second.

    \b
    Example:
      bespoke key revoke sk_ab12cd34e
    """
    with opened() as installation:
        revoke_key(installation.store, prefix, deed=deed(installation))
    click.echo(f"{prefix}: revoked")
