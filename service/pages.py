"""The marketer's pages. They run no script, and need none."""

import re
from base64 import b64encode
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint
from flask import Response
from flask import redirect
from flask import render_template
from flask import request
from flask import url_for
from werkzeug.wrappers import Response as AnyResponse

from experiments.audit import audit_of
from experiments.errors import InvalidSignature
from experiments.errors import UnknownExperiment
from experiments.ledger import Decision
from experiments.ledger import Excerpt
from experiments.ledger import ledger_excerpt
from experiments.ledger import ledger_of
from experiments.ledger import without_small_cells
from experiments.lifecycle import find
from experiments.lifecycle import restraints
from experiments.model import StoredExperiment
from experiments.report_shape import Report
from experiments.reports import build_report
from experiments.storage.session import Session
from service.audit import HIGHEST_NUMBER
from service.audit import read_selection
from service.campaigns.ledger_view import ROWS
from service.campaigns.ledger_view import ledger_view
from service.campaigns.view import campaigns_view
from service.campaigns.view import disk_warning
from service.current import current_installation
from service.errors import status_of
from service.operation.disk import space
from service.palette import arm_colours
from service.people.links import read_link
from service.people.roles import current_person
from service.people.roles import for_people
from service.reference.operations import Example
from service.reference.operations import Parameter
from service.reference.operations import TEXT
from service.refusal_pages import describes_page
from service.refusal_pages import init_pages
from service.refusal_pages import refusal_page
from service.report.checks import restraint_warnings
from service.report.explanations import EXPLANATIONS
from service.report.money import OF_SEGMENTS
from service.report.money import OVER_SEGMENTS
from service.report.pictures import report_pictures
from service.report.view import report_view
from service.requests.queries import read_query
from service.requests.queries import whole
from service.requests.queries import whole_number
from service.wording import NOTHING

bp = Blueprint("pages", __name__)
init_pages(bp)

_ASK_FOR_A_LINK = (
    "Links to a report are signed, and end after a while. Ask whoever sent it for a new one, which "
    "`bespoke report KEY --link` prints, or log in."
)

#: Where a file of a report is, by its name and what is asked of it; a page that stands alone has none.
FileAddress = Callable[..., str]

#: What opens a report and its files.
LINK = {"link": Parameter(TEXT, "the signature, as `bespoke report KEY --link` prints it")}

# A sign stands before a digit or a money symbol, and not inside a word such as a key.
_HYPHEN = re.compile(r"(?<![\w-])-(?=[^\s-]*\s?\d)")


@bp.get("/")
@for_people("viewer")
@describes_page(Example(path={}, status=303))
def home() -> str:
    """Every campaign: what it has come to, and where somebody is needed."""
    installation = current_installation()
    now_ms = installation.clock.now_ms()
    found = installation.overviews.take(installation.store, snapshot=installation.snapshots.latest, now_ms=now_ms)
    view = campaigns_view(found, now_ms=now_ms, min_cell=installation.config.min_cell)
    warning = disk_warning(space(installation.config))
    return render_template("campaigns.html", view=view, warning=warning)


def by_link() -> bool:
    """Whether a link opens the page.

    :raises InvalidSignature: if there is one that is none, is for another experiment, or has expired.
    """
    text, installation = request.args.get("link"), current_installation()
    if text is not None:
        key = (request.view_args or {})["key"]
        read_link(text, key, now_ms=installation.clock.now_ms(), keyring=installation.keyring)
    return text is not None


@bp.get("/experiments/<key>")
@for_people("viewer", unless=by_link)
@describes_page(Example(query="link=none", status=403), query=LINK)
def report_page(key: str) -> str | AnyResponse:
    """The report of an experiment, for people and for whoever has a link to it."""
    try:
        return render_report(*readable(key), file=_file_of(key))
    except UnknownExperiment:
        # An experiment may have this key: until one has, the address leads to the form that makes one.
        if key == "new" and current_person():
            return redirect(url_for("setup.new_form"), 303)
        raise


def readable(key: str) -> tuple[Report, list[Decision]]:
    """The report and the ledger of an experiment."""
    installation = current_installation()
    now_ms = installation.clock.now_ms()
    report = build_report(installation.store, key, now_ms=now_ms, min_cell=installation.config.min_cell)
    return report, installation.store.read(lambda session: ledger_of(session, key))


def _file_of(key: str) -> FileAddress:
    """Files of the report are opened by what opened its page."""
    page, link = url_for("pages.report_page", key=key), request.args.get("link")
    opened_by = {} if link is None else {"link": link}

    def address(name: str, **asked: str) -> str:
        query = urlencode({**opened_by, **asked})
        return f"{page}/{name}?{query}" if query else f"{page}/{name}"

    return address


@bp.get("/experiments/<key>/ledger")
@for_people("viewer")
@describes_page(
    Example(status=303), query={"before": Parameter(whole_number(HIGHEST_NUMBER), "only decisions of a lower number")}
)
def ledger_page(key: str) -> str:
    """Why traffic moved, the newest decision first."""
    before = whole(read_query("before"), "before", highest=HIGHEST_NUMBER)

    def read(session: Session) -> tuple[StoredExperiment, Excerpt, list[str]]:
        stored = find(session, key)
        warnings = list(restraint_warnings(restraints(session, key)))
        return stored, ledger_excerpt(session, key, before=before, limit=ROWS), warnings

    stored, excerpt, warnings = current_installation().store.read(read)
    min_cell = current_installation().config.min_cell
    rows = [without_small_cells(row, min_cell=min_cell) for row in excerpt.rows]
    view = ledger_view(stored.experiment, excerpt._replace(rows=rows))
    return render_template("ledger.html", stored=stored, view=view, is_newest=before is None, warnings=warnings)


@bp.get("/audit")
@for_people("admin")
@describes_page(
    Example(path={}, status=303),
    query={name: Parameter(TEXT, "as of /v1/audit") for name in ("actor", "subject", "before", "limit")},
)
def audit_page() -> str:
    """Who did what to the configuration, and when."""
    selection = read_selection()
    excerpt = audit_of(current_installation().store, selection)
    return render_template("audit.html", rows=excerpt.rows, selection=selection, before=excerpt.before)


@bp.errorhandler(InvalidSignature)
@bp.errorhandler(UnknownExperiment)
def closed(error: InvalidSignature | UnknownExperiment) -> Response:
    """To strangers the same page for a bad link and for a good one to nothing: an address tells them nothing."""
    if current_person():
        return refusal_page(status_of(error), str(error))
    return refusal_page(403, str(error), title="This link does not open", advice=_ASK_FOR_A_LINK)


@bp.app_template_filter("minus")
def minus(figure: str) -> str:
    """A written figure with the sign that typographers use, and an en dash where there is none."""
    return "–" if figure == NOTHING else _HYPHEN.sub("−", figure)


def render_report(
    report: Mapping[str, Any],
    allocations: Sequence[Mapping[str, Any]] = (),
    *,
    stylesheet: str | None = None,
    file: FileAddress | None = None,
) -> str:
    """The page of a report (the JSON of `GET /v1/experiments/{key}/report`).

    `allocations` are the ledger's rows (`GET .../allocations`), the oldest first; without them the page does not
    show how traffic moved. `stylesheet` is the address of `bespoke.css` if it is not the server's; a page kept as a
    file takes `inline_stylesheet()`, and no `file`, by which others offer charts and figures to take away.
    """
    return render_template(
        "report.html",
        key=report["experiment"],
        view=report_view(report, symbols=True),
        pictures=report_pictures(report, allocations),
        colour_by_arm=arm_colours({row["arm"]: row["role"] for row in report["totals"]}),
        explanations=EXPLANATIONS,
        of_segments=OF_SEGMENTS,
        over_segments=OVER_SEGMENTS,
        file=file,
        stylesheet=stylesheet,
    )


def inline_stylesheet() -> str:
    """The stylesheet as an address that holds it, for pages that stand alone."""
    css = (Path(__file__).parent / "static" / "bespoke.css").read_bytes()
    return f"data:text/css;base64,{b64encode(css).decode()}"
