"""The page of the what-if: what other policies would have brought with the visitors who came."""

from flask import Blueprint
from flask import Response
from flask import render_template

from experiments.errors import UnansweredPast
from experiments.lifecycle import find
from experiments.replay import replay
from service.alternatives_chart import alternatives_chart
from service.current import current_installation
from service.operations import Example
from service.people import for_people
from service.refusal_pages import describes_page
from service.refusal_pages import init_pages
from service.refusal_pages import refusal_page
from service.replay_view import MeasureTable
from service.replay_view import replay_view
from service.report_charts import Chart
from service.report_charts import measure_of
from service.report_pictures import Picture
from service.report_pictures import drawn

bp = Blueprint("replay_page", __name__)
init_pages(bp)


_WHEN = (
    "A what-if looks only at visitors whose time to reach the goal is over, so that young days do not look poor. Come "
    "back when the first of them have had their time."
)


@bp.errorhandler(UnansweredPast)
def too_early(error: UnansweredPast) -> Response:
    """There is nothing to look back on yet."""
    return refusal_page(409, str(error), title="There is nothing to look back on yet", advice=_WHEN)


@bp.get("/experiments/<key>/replay")
@for_people("viewer")
@describes_page(Example(status=303))
def replay_page(key: str) -> str:
    """What would have been, had another policy run."""
    installation = current_installation()
    store, min_cell = installation.store, installation.config.min_cell
    stored = store.read(lambda session: find(session, key))
    found = replay(store, key, now_ms=installation.clock.now_ms(), min_cell=min_cell)
    view = replay_view(found, symbols=True)
    return render_template(
        "replay.html", stored=stored, view=view, parts=[(one, _picture(view.reference, one)) for one in view.tables]
    )


def _picture(reference: str, table: MeasureTable) -> Picture | None:
    """The gains of one measure, drawn; None where nothing is known of them."""
    if not table.plot:
        return None
    title = f"{measure_of(table.unit)}, against {reference} for everybody"
    wide, narrow = (alternatives_chart(table.plot, title=title, width=width) for width in (560, 140))
    note = "The dot is the best estimate, the line its range. Left of zero the one message does better."
    return drawn(Chart(table.heading, table.heading, note, wide, narrow))
