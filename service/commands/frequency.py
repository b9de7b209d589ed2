"""The command that tells how often visitors are exposed, and whether one more send is worth it."""

from collections.abc import Callable

import click
import msgspec

from experiments.frequency.sends import FrequencyReport
from experiments.frequency.sends import frequency_report
from service.commands.opened import opened
from service.frequency.text import frequency_text


def _json(found: FrequencyReport) -> str:
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode()


_FORMATS: dict[str, Callable[[FrequencyReport], str]] = {"text": frequency_text, "json": _json}


@click.command()
@click.argument("key")
@click.option("--format", "kind", type=click.Choice([*_FORMATS]), default="text", show_default=True)
def frequency(key: str, kind: str) -> None:
    """Tell how often visitors are exposed, what goes along with it, and whether one more send is worth it.

    The last can be told only where the document has each visitor's cap drawn: `"frequency": {"cap": [1, 2], ...}`.

    \b
    Example:
      bespoke frequency spring-mailing
    """
    with opened() as installation:
        now_ms, min_cell = installation.clock.now_ms(), installation.config.min_cell
        found = frequency_report(installation.store, key, now_ms=now_ms, min_cell=min_cell)
    text = _FORMATS[kind](found)
    click.echo(text, nl=not text.endswith("\n"))
