"""The command that shows a report, or its address."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import click
import msgspec
from flask import Flask

from experiments.ledger import ledger_of
from experiments.lifecycle import find
from experiments.reports import build_report
from service.commands.opened import opened
from service.installation import Installation
from service.people.links import report_link
from service.report.table import report_csv
from service.report.text import report_text
from service.requests.address import Address

Report = Mapping[str, Any]


def _json(report: Report) -> str:
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode()


def _html(report: Report, allocations: Sequence[Mapping[str, Any]]) -> str:
    """The page as a file that stands alone."""
    # Charts take a while to load what draws them.
    from service import pages

    app = Flask("service")
    app.register_blueprint(pages.bp)
    with app.app_context():
        return pages.render_report(report, allocations, stylesheet=pages.inline_stylesheet())


_FORMATS: dict[str, Callable[[Report], str]] = {"text": report_text, "json": _json, "csv": report_csv}


@click.command()
@click.argument("key")
@click.option("--format", "kind", type=click.Choice([*_FORMATS, "html"]), default="text", show_default=True)
@click.option("--link", is_flag=True, help="Print a signed address of the page instead, that expires.")
def report(key: str, kind: str, link: bool) -> None:
    """Show for whom tailoring pays, and how sure that is.

    \b
    Example:
      bespoke report spring-mailing
      bespoke report spring-mailing --link
    """
    with opened() as installation:
        text = _link(installation, key) if link else _report(installation, key, kind=kind)
    click.echo(text, nl=not text.endswith("\n"))


def _report(installation: Installation, key: str, *, kind: str) -> str:
    store = installation.store
    built = build_report(store, key, now_ms=installation.clock.now_ms(), min_cell=installation.config.min_cell)
    if kind == "html":
        return _html(built, store.read(lambda session: ledger_of(session, key)))
    return _FORMATS[kind](built)


def _link(installation: Installation, key: str) -> str:
    installation.store.read(lambda session: find(session, key))
    config = installation.config
    return report_link(
        key,
        address=str(Address(config.host, config.port)),
        expires_ms=installation.clock.now_ms() + config.link_lifetime_seconds * 1000,
        keyring=installation.keyring,
    )
