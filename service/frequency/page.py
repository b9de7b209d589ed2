"""The page of the frequency: how often visitors are written to, and whether one more send is worth it."""

from flask import Blueprint
from flask import render_template

from experiments.frequency.sends import frequency_report
from experiments.lifecycle import find
from service.current import current_installation
from service.frequency.view import FrequencyView
from service.frequency.view import frequency_view
from service.people.roles import for_people
from service.reference.operations import Example
from service.refusal_pages import describes_page
from service.refusal_pages import init_pages
from service.replay.chart import alternatives_chart
from service.report.charts import Chart
from service.report.charts import measure_of
from service.report.pictures import Picture
from service.report.pictures import drawn

bp = Blueprint("frequency_page", __name__)
init_pages(bp)


@bp.get("/experiments/<key>/frequency")
@for_people("viewer")
@describes_page(Example(status=303))
def frequency_page(key: str) -> str:
    """How often visitors are written to, and what that brings."""
    installation = current_installation()
    store, min_cell = installation.store, installation.config.min_cell
    stored = store.read(lambda session: find(session, key))
    view = frequency_view(
        frequency_report(store, key, now_ms=installation.clock.now_ms(), min_cell=min_cell), symbols=True
    )
    return render_template("frequency.html", stored=stored, view=view, picture=_picture(view))


def _picture(view: FrequencyView) -> Picture | None:
    """What raising caps adds, drawn; None where nothing is known of it."""
    if not view.plot:
        return None
    heading = "What a higher cap adds"
    wide, narrow = (
        alternatives_chart(view.plot, title=measure_of(view.worth), width=width, heading=heading)
        for width in (560, 140)
    )
    note = "The dot is the best estimate, the line its range, less all costs. Left of zero one more is not worth it."
    return drawn(Chart("raises", heading, note, wide, narrow))
