"""The page of the review: whether each segment still makes sense, and the button that says that somebody has looked."""

from flask import Blueprint
from flask import Response
from flask import make_response
from flask import redirect
from flask import render_template
from flask import request
from flask import url_for
from werkzeug.wrappers import Response as AnyResponse

from experiments.audit import Deed
from experiments.errors import InvalidReview
from experiments.lifecycle import find
from experiments.review.days import REVIEWED
from experiments.review.days import mark_reviewed
from experiments.review.segments import Review
from service.current import current_installation
from service.errors import status_of
from service.people.roles import current_person
from service.people.roles import for_people
from service.reference.operations import Example
from service.refusal_pages import describes_page
from service.refusal_pages import init_pages
from service.report.charts import Chart
from service.report.pictures import Picture
from service.report.pictures import drawn
from service.requests.queries import read_query
from service.review.api import SINCE
from service.review.api import review_now
from service.review.chart import share_chart
from service.review.view import review_view

bp = Blueprint("review_page", __name__)
init_pages(bp)


@bp.get("/experiments/<key>/review")
@for_people("viewer")
@describes_page(Example(status=303), query=SINCE)
def review_page(key: str) -> Response:
    """Whether each segment still makes sense."""
    return _page(key, since=read_query("since").get("since"))


@bp.post("/experiments/<key>/review")
@for_people("editor")
@describes_page(Example(status=403))
def review_mark(key: str) -> Response | AnyResponse:
    """Keep that somebody has looked at a segment, and by which day somebody does again."""
    installation, person, form = current_installation(), current_person(), request.form
    assert person is not None, "only people are let in"
    segment, deed = form.get("segment", ""), Deed(person.email, installation.clock.now_ms())
    try:
        mark_reviewed(installation.store, key, segment, by=form.get("review_by", ""), deed=deed)
    except InvalidReview as error:
        return _page(key, refusal=error, refused=segment)
    installation.snapshots.refresh()
    return redirect(url_for("review_page.review_page", key=key, _anchor=f"segment-{segment}"), 303)


def _page(
    key: str, *, since: str | None = None, refusal: InvalidReview | None = None, refused: str | None = None
) -> Response:
    stored = current_installation().store.read(lambda session: find(session, key))
    found = review_now(key, since=since)
    page = render_template(
        "review.html",
        stored=stored,
        view=review_view(found, symbols=True),
        picture=_picture(found),
        is_open=stored.state in REVIEWED,
        refusal=refusal and str(refusal),
        refused=refused,
        given=request.form.get("review_by", ""),
    )
    return make_response(page, status_of(refusal) if refusal else 200)


def _picture(found: Review) -> Picture | None:
    """The shares, drawn; None where nobody came."""
    shares = {one.segment: one.share for one in found.segments if one.share}
    if not shares:
        return None
    stretches = {one.segment: one.stretches for one in found.segments}
    wide, narrow = (
        share_chart(stretches, since=found.since, share_by_segment=shares, **size)
        for size in ({}, {"columns": 1, "width": 230})
    )
    often = "day" if found.stretch_days == 1 else "week"
    note = f"Of all visitors of each {often}. The dashed line is where “lately” begins; where few came, there is a gap."
    return drawn(Chart("shares", "How large each segment was", note, wide, narrow))
