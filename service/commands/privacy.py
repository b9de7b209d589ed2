"""The command that prints the papers on privacy."""

import click

from service.commands.opened import opened
from service.privacy.page import campaigns_in_use
from service.privacy.papers import papers
from service.privacy.text import privacy_text

_NAMES = ("map", "consent", "notice", "assessment")


@click.command()
@click.option("--paper", type=click.Choice(_NAMES), help="One of them; all without it.")
def privacy(paper: str | None) -> None:
    """Print papers on privacy as Markdown: what is stored, what needs consent, a notice, an impact assessment.

    They are made from the settings and the campaigns as they are now. General information, not legal advice.

    \b
    Example:
      bespoke privacy --paper map
    """
    with opened() as installation:
        found = papers(installation.config.written, campaigns_in_use(installation))
    click.echo(privacy_text([one for one in found if paper in (None, one.name)]))
