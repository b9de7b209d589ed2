"""The command that proposes segments."""

import click
import msgspec

from experiments.discovery.proposals import discover as discover_segments
from experiments.lifecycle import find
from service.commands.histories import history_options
from service.commands.histories import source_of
from service.commands.opened import opened
from service.discovery.text import discovery_text


@click.command()
@click.argument("key")
@click.option("--format", "kind", type=click.Choice(["text", "json"]), default="text", show_default=True)
@history_options
def discover(key: str, kind: str, history: str | None, engine: str | None) -> None:
    """Propose segments: for whom a message does better, or worse, against another than it does for the rest.

    What is asked are the attributes that the experiment stores. Rules are chosen by one half of the visitors and tested
    by the other.

    \b
    Example:
      bespoke discover spring-mailing
      bespoke discover spring-mailing --format json
      bespoke discover spring-mailing --history history --engine spark://master:7077
    """
    with opened() as installation:
        min_cell, source = installation.config.min_cell, source_of(key, history, engine)
        found = discover_segments(installation.store, key, min_cell=min_cell, source=source)
        types = installation.store.read(lambda session: find(session, key)).experiment.attribute_types
    if kind == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    else:
        click.echo(discovery_text(found, types), nl=False)
