"""The pre-flight as a page: what is assumed, what follows, and the button that starts the experiment."""

from threading import Lock

from flask import Blueprint
from flask import Response
from flask import make_response
from flask import redirect
from flask import render_template
from flask import request
from flask import url_for
from werkzeug.wrappers import Response as AnyResponse

from experiments.audit import Deed
from experiments.errors import InvalidDocument
from experiments.lifecycle import act
from experiments.lifecycle import find
from experiments.model import StoredExperiment
from experiments.simulation.preflight import preflight
from service.current import current_installation
from service.people.roles import current_person
from service.people.roles import for_people
from service.preflight.form import TEXTS
from service.preflight.form import asked
from service.preflight.form import faults_by_field
from service.preflight.view import PreflightView
from service.preflight.view import preflight_view
from service.reference.operations import Example
from service.reference.operations import Parameter
from service.reference.operations import TEXT
from service.refusal_pages import describes_page
from service.refusal_pages import init_pages
from service.refusal_pages import refusal_page

bp = Blueprint("preflight", __name__)
init_pages(bp)

#: Campaigns of each policy: what a browser waits for.
_RUNS = 10
_SEED = 1
#: A simulation keeps a processor for seconds, and others have to be served.
SIMULATING = Lock()


@bp.get("/experiments/<key>/preflight")
@for_people("editor")
@describes_page(
    Example(status=303),
    query={name: Parameter(TEXT, "as typed; without `days` nothing is simulated") for name in TEXTS},
)
def preflight_page(key: str) -> Response:
    """What a campaign would find out, in how many days, at what cost."""
    stored = current_installation().store.read(lambda session: find(session, key))
    texts = {name: request.args.get(name, text) for name, text in TEXTS.items()}
    if "days" not in request.args:
        return _page(stored, texts)
    if not SIMULATING.acquire(blocking=False):
        return refusal_page(503, "another pre-flight is being simulated: try again in a few seconds")
    try:
        return _page(stored, texts, view=_simulated(stored, texts))
    except InvalidDocument as error:
        return _page(stored, texts, faults=faults_by_field(error.problems), status=422)
    finally:
        SIMULATING.release()


@bp.post("/experiments/<key>/preflight")
@for_people("editor")
@describes_page(Example(status=403))
def start(key: str) -> AnyResponse:
    """Start the experiment."""
    installation, person = current_installation(), current_person()
    assert person is not None, "only people are let in"
    act(installation.store, key, "start", deed=Deed(person.email, installation.clock.now_ms()))
    return redirect(url_for("pages.report_page", key=key), 303)


def _simulated(stored: StoredExperiment, texts: dict[str, str]) -> PreflightView:
    wanted = asked(texts, stored.experiment)
    found = preflight(
        dict(stored.document), wanted.assumptions, days=wanted.days, runs=_RUNS, seed=_SEED, by_context=False
    )
    return preflight_view(found)


def _page(
    stored: StoredExperiment, texts: dict[str, str], *, view: PreflightView | None = None,
    faults: dict[str, str] | None = None, status: int = 200,
) -> Response:
    page = render_template("preflight.html", stored=stored, texts=texts, view=view, faults=faults or {})
    return make_response(page, status)
