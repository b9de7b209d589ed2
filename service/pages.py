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
from flask import make_response
from flask import render_template
from flask import request
from flask import url_for

from experiments.errors import InvalidSignature
from experiments.errors import UnknownExperiment
from experiments.ledger import Decision
from experiments.ledger import ledger_of
from experiments.report_shape import Report
from experiments.reports import build_report
from service.auth import public
from service.current import current_installation
from service.explanations import EXPLANATIONS
from service.links import read_link
from service.operations import HTML
from service.operations import TEXT
from service.operations import Answer
from service.operations import Example
from service.operations import Parameter
from service.operations import describes
from service.palette import arm_colours
from service.report_pictures import report_pictures
from service.report_view import report_view
from service.wording import NOTHING

bp = Blueprint("pages", __name__)

#: Where a file of a report is, by its name; a page that stands alone has none.
FileAddress = Callable[[str], str]

#: What opens a report and its files.
LINK = {"link": Parameter(TEXT, "the signature, as `bespoke report KEY --link` prints it")}

# A sign stands before a digit or a money symbol, and not inside a word such as a key.
_HYPHEN = re.compile(r"(?<![\w-])-(?=[^\s-]*\s?\d)")


@bp.get("/experiments/<key>")
@public
@describes(
    answers={200: Answer(TEXT, kind=HTML), 403: Answer(TEXT, kind=HTML)},
    query=LINK,
    example=Example(query="link=none", status=403),
)
def report_page(key: str) -> str:
    """The report of an experiment, for whoever has a link to it.

    :raises InvalidSignature: if the link is none, is for another experiment, or has expired.
    """
    return render_report(*readable(key), file=_file_of(key))


def readable(key: str) -> tuple[Report, list[Decision]]:
    """The report and the ledger of an experiment, if whoever asks may read them: the one place that says who may.

    :raises InvalidSignature: if the link is none, is for another experiment, or has expired.
    """
    installation = current_installation()
    now_ms = installation.clock.now_ms()
    read_link(request.args.get("link", ""), key, now_ms=now_ms, keyring=installation.keyring)
    report = build_report(installation.store, key, now_ms=now_ms, min_cell=installation.config.min_cell)
    return report, installation.store.read(lambda session: ledger_of(session, key))


def _file_of(key: str) -> FileAddress:
    """Files of the report are opened by what opened its page."""
    page, link = url_for("pages.report_page", key=key), request.args.get("link", "")
    return lambda name: f"{page}/{name}?{urlencode({'link': link})}"


@bp.errorhandler(InvalidSignature)
@bp.errorhandler(UnknownExperiment)
def refused(error: InvalidSignature | UnknownExperiment) -> Response:
    """The same page for a bad link and for a good one to nothing: an address tells a stranger nothing."""
    page = render_template("refused.html", reason=str(error), stylesheet="/static/bespoke.css")
    return make_response(page, 403)


@bp.app_template_filter("minus")
def minus(figure: str) -> str:
    """A written figure with the sign that typographers use, and an en dash where there is none."""
    return "–" if figure == NOTHING else _HYPHEN.sub("−", figure)


def render_report(
    report: Mapping[str, Any],
    allocations: Sequence[Mapping[str, Any]] = (),
    *,
    stylesheet: str = "/static/bespoke.css",
    file: FileAddress | None = None,
) -> str:
    """The page of a report (the JSON of `GET /v1/experiments/{key}/report`).

    `allocations` are the ledger's rows (`GET .../allocations`), the oldest first; without them the page does not
    show how traffic moved. `stylesheet` is the address of `bespoke.css`; a page kept as a file takes
    `inline_stylesheet()`, and no `file`, by which others offer charts and figures to take away.
    """
    return render_template(
        "report.html",
        view=report_view(report, symbols=True),
        pictures=report_pictures(report, allocations),
        colour_by_arm=arm_colours({row["arm"]: row["role"] for row in report["totals"]}),
        explanations=EXPLANATIONS,
        file=file,
        stylesheet=stylesheet,
    )


def inline_stylesheet() -> str:
    """The stylesheet as an address that holds it, for pages that stand alone."""
    css = (Path(__file__).parent / "static" / "bespoke.css").read_bytes()
    return f"data:text/css;base64,{b64encode(css).decode()}"
