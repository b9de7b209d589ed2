"""The marketer's pages. They run no script, and need none."""

import re
from base64 import b64encode
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flask import Blueprint
from flask import Response
from flask import make_response
from flask import render_template
from flask import request

from experiments.errors import InvalidSignature
from experiments.errors import UnknownExperiment
from experiments.ledger import ledger_of
from experiments.reports import build_report
from service.auth import public
from service.current import current_installation
from service.links import read_link
from service.operations import HTML
from service.operations import TEXT
from service.operations import Answer
from service.operations import Example
from service.operations import Parameter
from service.operations import describes
from service.palette import arm_colours
from service.report_charts import report_pictures
from service.report_view import report_view
from service.wording import NOTHING

bp = Blueprint("pages", __name__)

# A sign stands before a digit or a money symbol, and not inside a word such as a key.
_HYPHEN = re.compile(r"(?<![\w-])-(?=[^\s-]*\s?\d)")


@bp.get("/experiments/<key>")
@public
@describes(
    answers={200: Answer(TEXT, kind=HTML), 403: Answer(TEXT, kind=HTML)},
    query={"link": Parameter(TEXT, "the signature, as `bespoke report KEY --link` prints it")},
    example=Example(query="link=none", status=403),
)
def report_page(key: str) -> str:
    """The report of an experiment, for whoever has a link to it.

    :raises InvalidSignature: if the link is none, is for another experiment, or has expired.
    """
    installation = current_installation()
    now_ms = installation.clock.now_ms()
    read_link(request.args.get("link", ""), key, now_ms=now_ms, keyring=installation.keyring)
    report = build_report(installation.store, key, now_ms=now_ms, min_cell=installation.config.min_cell)
    return render_report(report, installation.store.read(lambda session: ledger_of(session, key)))


@bp.errorhandler(InvalidSignature)
@bp.errorhandler(UnknownExperiment)
def _refused(error: InvalidSignature | UnknownExperiment) -> Response:
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
) -> str:
    """The page of a report (the JSON of `GET /v1/experiments/{key}/report`).

    `allocations` are the ledger's rows (`GET .../allocations`), the oldest first; without them the page does not
    show how traffic moved. `stylesheet` is the address of `bespoke.css`; a page kept as a file takes
    `inline_stylesheet()`.
    """
    return render_template(
        "report.html",
        view=report_view(report, symbols=True),
        pictures=report_pictures(report, allocations),
        colour_by_arm=arm_colours({row["arm"]: row["role"] for row in report["totals"]}),
        stylesheet=stylesheet,
    )


def inline_stylesheet() -> str:
    """The stylesheet as an address that holds it, for pages that stand alone."""
    css = (Path(__file__).parent / "static" / "bespoke.css").read_bytes()
    return f"data:text/css;base64,{b64encode(css).decode()}"
