"""The page of the discovery: the segments that visitors suggest, and the button that makes a draft to test one."""

from typing import Any

import msgspec
from flask import Blueprint
from flask import redirect
from flask import render_template
from flask import request
from flask import url_for
from werkzeug.wrappers import Response as AnyResponse

from experiments.audit import Deed
from experiments.discovery.drafts import Wanted
from experiments.discovery.drafts import draft_of
from experiments.discovery.proposals import discover
from experiments.errors import NothingToDiscover
from experiments.errors import UnknownProposal
from experiments.errors import shown
from experiments.lifecycle import find
from service.current import current_installation
from service.discovery.chart import effects_chart
from service.discovery.rule_words import rule_words
from service.discovery.view import DiscoveryView
from service.discovery.view import discovery_view
from service.people.roles import current_person
from service.people.roles import for_people
from service.reference.operations import Example
from service.refusal_pages import describes_page
from service.refusal_pages import init_pages
from service.report.charts import Chart
from service.report.pictures import Picture
from service.report.pictures import drawn

bp = Blueprint("discovery", __name__)
init_pages(bp)


@bp.get("/experiments/<key>/discovery")
@for_people("viewer")
@describes_page(Example(status=303))
def discovery_page(key: str) -> str:
    """For whom a message does better than for others."""
    installation = current_installation()
    stored = installation.store.read(lambda session: find(session, key))
    try:
        found = discover(installation.store, key, min_cell=installation.config.min_cell)
    except NothingToDiscover as error:
        return render_template("discovery.html", stored=stored, nothing=str(error))
    view = discovery_view(found, stored.experiment.attribute_types, symbols=True)
    return render_template("discovery.html", stored=stored, view=view, picture=_picture(view))


@bp.post("/experiments/<key>/discovery")
@for_people("editor")
@describes_page(Example(status=403))
def draft(key: str) -> AnyResponse:
    """Make a draft that tests a proposal, and open it."""
    installation, person = current_installation(), current_person()
    assert person is not None, "only people are let in"
    types = installation.store.read(lambda session: find(session, key)).experiment.attribute_types
    made = draft_of(
        installation.store,
        key,
        Wanted(request.form.get("arm", ""), _rule(request.form.get("rule", ""))),
        words=lambda rule: rule_words(rule, types),
        min_cell=installation.config.min_cell,
        deed=Deed(person.email, installation.clock.now_ms()),
    )
    installation.snapshots.refresh()
    return redirect(url_for("setup.edit_form", key=made.experiment.key, step="segments"), 303)


def _rule(text: str) -> dict[str, Any]:
    try:
        rule: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise UnknownProposal(f"rule: {shown(text)} is none that could be proposed") from error
    return rule


def _picture(view: DiscoveryView) -> Picture | None:
    """The effects inside and outside of every proposal, drawn."""
    effects = [
        (name, 100 * (ratio.low - 1), 100 * (ratio.mean - 1), 100 * (ratio.high - 1))
        for proposal in view.proposals
        for name, ratio in proposal.plot
    ]
    if not effects:
        return None
    title = "Effect in percent"
    wide, narrow = (effects_chart(effects, title=title, width=width) for width in (560, 140))
    note = "The dot is the best estimate, the line its range. Left of zero a message brings less than the other."
    return drawn(Chart("effects", "There, and elsewhere", note, wide, narrow))
