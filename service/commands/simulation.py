"""The command that simulates a campaign before anything is sent."""

import os
import sys
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from typing import IO
from typing import TypeVar

import click
import msgspec

from experiments.reading.flights import read_flight
from experiments.simulation.preflight import Preflight
from experiments.simulation.preflight import preflight
from service.preflight.text import preflight_text
from service.setup.documents import read_document

T = TypeVar("T")

MAX_DAYS = 365
MAX_RUNS = 100_000


def _json(found: Preflight) -> str:
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode()


_FORMATS: dict[str, Callable[[Preflight], str]] = {"text": preflight_text, "json": _json}


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option("--days", type=click.IntRange(1, MAX_DAYS), default=30, show_default=True, help="How long it would run.")
@click.option(
    "--runs", type=click.IntRange(2, MAX_RUNS), default=200, show_default=True, help="Campaigns of each policy."
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="The same seed, the same figures.")
@click.option("--format", "kind", type=click.Choice([*_FORMATS]), default="text", show_default=True)
def simulate(file: IO[bytes], days: int, runs: int, seed: int, kind: str) -> None:
    """Simulate a campaign before anything is sent, under every policy, and advise; `-` reads stdin.

    FILE is an experiment document, or {"experiment": document, "assumptions": {...}}; whatever is not assumed has a
    default, which the answer names.

    \b
    Example:
      bespoke simulate spring-mailing.json --days 30
    """
    document, assumptions = read_flight(read_document(file.read()))
    found = preflight(
        document, assumptions, days=days, runs=runs, seed=seed, workers=os.cpu_count() or 1, watched=_watched
    )
    text = _FORMATS[kind](found)
    click.echo(text, nl=not text.endswith("\n"))


def _watched(parts: Iterable[T], length: int) -> Iterator[T]:
    with click.progressbar(parts, length=length, label="Campaigns pass", file=sys.stderr) as bar:
        yield from bar
