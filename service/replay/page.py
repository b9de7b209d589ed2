"""The page of the what-if: what other policies would have brought with the visitors who came."""

from flask import Blueprint
from flask import render_template

from experiments.errors import UnansweredPast
from experiments.lifecycle import find
from experiments.replay.records import replay
from service.current import current_installation
from service.people.roles import for_people
from service.reference.operations import Example
from service.refusal_pages import describes_page
from service.refusal_pages import init_pages
from service.replay.chart import alternatives_chart
from service.replay.view import MeasureTable
from service.replay.view import replay_view
from service.report.charts import Chart
from service.report.charts import measure_of
from service.report.pictures import Picture
from service.report.pictures import drawn

bp = Blueprint("replay_page", __name__)
init_pages(bp)


@bp.get("/experiments/<key>/replay")
@for_people("viewer")
@describes_page(Example(status=303))
def replay_page(key: str) -> str:
    """What would have been, had another policy run."""
    installation = current_installation()
    store, min_cell = installation.store, installation.config.min_cell
    stored = store.read(lambda session: find(session, key))
    try:
        found = replay(store, key, now_ms=installation.clock.now_ms(), min_cell=min_cell)
    except UnansweredPast as error:
        return render_template("replay.html", stored=stored, too_early=str(error))
    view = replay_view(found, symbols=True)
    parts = [(one, _picture(view.reference, one)) for one in view.tables]
    return render_template("replay.html", stored=stored, view=view, parts=parts)


def _picture(reference: str, table: MeasureTable) -> Picture | None:
    """The gains of one measure, drawn; None where nothing is known of them."""
    if not table.plot:
        return None
    title = f"{measure_of(table.unit)}, against {reference} for everybody"
    wide, narrow = (alternatives_chart(table.plot, title=title, width=width) for width in (560, 140))
    note = "The dot is the best estimate, the line its range. Left of zero the one message does better."
    return drawn(Chart(table.heading, table.heading, note, wide, narrow))
