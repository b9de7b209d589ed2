"""What can be taken away from a report: its charts as images, its figures as a table; for whoever may read the page."""

from typing import Any

from flask import Blueprint
from flask import Response
from flask import request

from experiments.errors import InvalidSignature
from experiments.errors import UnknownExperiment
from experiments.errors import shown
from service.errors import Refused
from service.pages import LINK
from service.pages import by_link
from service.pages import closed
from service.pages import readable
from service.people.roles import for_people
from service.reference.operations import Answer
from service.reference.operations import Example
from service.reference.operations import Parameter
from service.reference.operations import TEXT
from service.refusal_pages import describes_page
from service.refusal_pages import init_pages
from service.report.charts import NAMES
from service.report.charts import chart_file
from service.report.table import report_csv

bp = Blueprint("report_files", __name__, url_prefix="/experiments/<key>")
init_pages(bp)
bp.register_error_handler(InvalidSignature, closed)
bp.register_error_handler(UnknownExperiment, closed)

_SVG = "image/svg+xml"
_PNG = "image/png"
_CSV = "text/csv; charset=utf-8"
# Without it Excel takes UTF-8 for the letters of the reader's own country.
_MARK = "\ufeff"
_CHART: dict[str, Any] = {
    "path": {"name": Parameter({"enum": list(NAMES)}, "which chart")},
    "query": LINK,
    "example": Example(path={"key": "spring-mailing", "name": "gains"}, query="link=none", status=403),
}


@bp.get("/charts/<name>.svg")
@for_people("viewer", unless=by_link)
@describes_page(shows=Answer(TEXT, kind=_SVG), **_CHART)
def chart_as_svg(key: str, name: str) -> Response:
    """A chart of the report with its title and its time, sharp at any size."""
    return _chart(key, name, kind="svg", content_type=_SVG)


@bp.get("/charts/<name>.png")
@for_people("viewer", unless=by_link)
@describes_page(shows=Answer({"type": "string", "format": "binary"}, kind=_PNG), **_CHART)
def chart_as_png(key: str, name: str) -> Response:
    """A chart of the report with its title and its time, for slides and mails."""
    return _chart(key, name, kind="png", content_type=_PNG)


def _chart(key: str, name: str, *, kind: str, content_type: str) -> Response:
    report, allocations = readable(key)
    if name not in NAMES:
        raise Refused(404, "unknown_chart", f"{shown(name)} is no chart; there are {', '.join(NAMES)}")
    image = chart_file(report, allocations, name, kind=kind)
    if image is None:
        raise Refused(404, "nothing_to_draw", f"{name}: too little has been seen so far to draw this chart")
    return _file(image, content_type, f"{key}-{name}.{kind}")


@bp.get("/figures.csv")
@for_people("viewer", unless=by_link)
@describes_page(
    Example(query="link=none", status=403),
    shows=Answer(TEXT, kind=_CSV),
    query={**LINK, "bom": Parameter({"enum": ["true", "false"]}, "whether it begins with a mark, as Excel wants it")},
)
def figures(key: str) -> Response:
    """The figures of the report as a table: one row for each segment, arm and metric."""
    report, _ = readable(key)
    table = report_csv(report)
    return _file((_MARK + table if _bom() else table).encode(), _CSV, f"{key}-figures.csv")


def _bom() -> bool:
    said = request.args.get("bom", "false")
    if said not in ("true", "false"):
        raise Refused(400, "invalid_bom", f"bom: {shown(said)} must be true or false")
    return said == "true"


def _file(content: bytes, kind: str, name: str) -> Response:
    return Response(content, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
