"""Commands for users: let people log in, and no more."""

import sys

import click

from experiments.errors import InvalidUser
from experiments.people import ROLES
from experiments.people import change_password
from experiments.people import change_role
from experiments.people import create_user
from experiments.people import list_users
from experiments.people import remove_user
from experiments.times import iso
from service.commands.opened import deed
from service.commands.opened import opened
from service.people.passwords import hash_password

_from_stdin = click.option("--password-stdin", "from_stdin", is_flag=True, help="Read the password from stdin.")


@click.group()
def user() -> None:
    """Say who may log in to the pages, and as what."""


@user.command()
@click.argument("email")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What the user may do.")
@_from_stdin
def create(email: str, role: str, from_stdin: bool) -> None:
    """Let somebody log in; asks for the password.

    A viewer reads reports, an editor changes experiments too, an admin does everything.

    \b
    Example:
      bespoke user create ann@shop.example --role editor
    """
    with opened() as installation:
        row = create_user(
            installation.store,
            email,
            role=role,
            password=_password(from_stdin=from_stdin),
            hash_password=hash_password,
            deed=deed(installation),
        )
    click.echo(f"{row.email}: {row.role}")


@user.command("list")
def list_() -> None:
    """List who may log in.

    \b
    Example:
      bespoke user list
    """
    with opened() as installation:
        for row in list_users(installation.store):
            click.echo(f"{row.email}  {row.role:<6}  {iso(row.created_ms)}")


@user.command()
@click.argument("email")
@_from_stdin
def password(email: str, from_stdin: bool) -> None:
    """Give a user another password, and log them out everywhere; asks for it.

    \b
    Example:
      bespoke user password ann@shop.example
    """
    with opened() as installation:
        change_password(
            installation.store,
            email,
            password=_password(from_stdin=from_stdin),
            hash_password=hash_password,
            deed=deed(installation),
        )
    click.echo(f"{email}: the password is changed")


@user.command()
@click.argument("email")
@click.argument("role", type=click.Choice(ROLES))
def role(email: str, role: str) -> None:
    """Give a user another role, at once and wherever they are logged in; the only admin stays one.

    \b
    Example:
      bespoke user role ann@shop.example viewer
    """
    with opened() as installation:
        row = change_role(installation.store, email, role=role, deed=deed(installation))
    click.echo(f"{row.email}: {row.role}")


@user.command()
@click.argument("email")
def remove(email: str) -> None:
    """Let somebody log in no more, and log them out everywhere.

    \b
    Example:
      bespoke user remove ann@shop.example
    """
    with opened() as installation:
        remove_user(installation.store, email, deed=deed(installation))
    click.echo(f"{email}: removed")


def _password(*, from_stdin: bool) -> str:
    if not from_stdin:
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    data = sys.stdin.buffer.read().removesuffix(b"\n").removesuffix(b"\r")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidUser("password: it must be UTF-8 text") from error
