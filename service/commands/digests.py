"""The command that sends a digest, or shows it."""

import click

from experiments.errors import InvalidSetting
from experiments.people import parse_email
from service.commands.opened import opened
from service.mail.digest import digest as digest_of
from service.mail.digest import live_campaigns
from service.mail.relay import send


@click.command()
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("--all", "is_all", is_flag=True, help="All campaigns that run or are paused.")
@click.option("--to", "recipients", multiple=True, metavar="EMAIL", help="Who gets it; BESPOKE_DIGEST_TO without it.")
@click.option("--dry-run", is_flag=True, help="Print the e-mail instead of sending it.")
def digest(keys: tuple[str, ...], is_all: bool, recipients: tuple[str, ...], dry_run: bool) -> None:
    """Send an e-mail about campaigns: verdicts, calls, what needs attention, charts, links to the reports.

    \b
    Example:
      bespoke digest --all --to ann@shop.example
      bespoke digest spring-mailing --dry-run
    """
    if is_all == bool(keys):
        raise click.UsageError("name campaigns, or take --all")
    with opened() as installation:
        to = [parse_email(text) for text in recipients] or list(installation.config.digest_to)
        message = digest_of(installation, keys or live_campaigns(installation), recipients=to)
        if dry_run:
            click.echo(message.as_string(), nl=False)
            return
        relay = installation.config.relay
        if not to or relay is None:
            raise InvalidSetting("a digest needs --to or BESPOKE_DIGEST_TO, and BESPOKE_SMTP_URL")
        send(message, relay)
    click.echo(f"sent to {', '.join(to)}")
