"""The command that reviews segments, and keeps that somebody has."""

from collections.abc import Callable

import click
import msgspec

from experiments.review.days import mark_reviewed
from experiments.review.segments import Review
from experiments.review.segments import review as review_segments
from service.commands.opened import deed
from service.commands.opened import opened
from service.review.text import review_text


def _json(found: Review) -> str:
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode()


_FORMATS: dict[str, Callable[[Review], str]] = {"text": review_text, "json": _json}


@click.command()
@click.argument("key")
@click.option("--since", metavar="DATE", help="The day (UTC) that parts before from lately; chosen if not given.")
@click.option("--format", "kind", type=click.Choice([*_FORMATS]), default="text", show_default=True)
@click.option(
    "--reviewed", nargs=2, metavar="SEGMENT DATE",
    help="Keep that a segment has been looked at, and by which day somebody looks again.",
)
def review(key: str, since: str | None, kind: str, reviewed: tuple[str, str] | None) -> None:
    """Review whether each segment still makes sense: who came, what its messages bring, and whether its rule can win.

    \b
    Example:
      bespoke review spring-mailing
      bespoke review spring-mailing --reviewed womens-shoppers 2027-09-01
    """
    with opened() as installation:
        if reviewed is not None:
            segment, day = reviewed
            mark_reviewed(installation.store, key, segment, by=day, deed=deed(installation))
        now_ms, min_cell = installation.clock.now_ms(), installation.config.min_cell
        found = review_segments(installation.store, key, now_ms=now_ms, min_cell=min_cell, since=since)
    text = _FORMATS[kind](found)
    click.echo(text, nl=not text.endswith("\n"))
