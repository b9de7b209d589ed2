"""Acting on a campaign: what may be done, one question before each, and the deed with who and why."""

from typing import NamedTuple

import msgspec
from flask import Blueprint
from flask import Response
from flask import make_response
from flask import redirect
from flask import render_template
from flask import request
from flask import url_for
from werkzeug.wrappers import Response as AnyResponse

from experiments.acts import ACTS
from experiments.acts import AnyAct
from experiments.acts import do
from experiments.acts import open_acts
from experiments.audit import Deed
from experiments.errors import BespokeError
from experiments.errors import InvalidReason
from experiments.errors import InvalidTransition
from experiments.errors import VerdictChanged
from experiments.final_allocation import Final
from experiments.final_allocation import Finals
from experiments.holds import finals_of
from experiments.holds import finish
from experiments.ledger import Decision
from experiments.ledger import ledger_json
from experiments.lifecycle import find
from experiments.lifecycle import restraints
from experiments.model import StoredExperiment
from experiments.reading.reasons import MAX_REASON
from experiments.reading.reasons import parse_reason
from experiments.restraints import Restraints
from experiments.storage.session import Session
from service.campaigns.actions_view import act_view
from service.campaigns.actions_view import acts_view
from service.campaigns.actions_view import winners
from service.campaigns.ledger_view import told
from service.current import current_installation
from service.errors import status_of
from service.people.roles import current_person
from service.people.roles import for_people
from service.reference.operations import Example
from service.refusal_pages import describes_page
from service.refusal_pages import init_pages
from service.report.checks import restraint_warnings

bp = Blueprint("actions", __name__, url_prefix="/experiments/<key>/actions")
init_pages(bp)

_NAME = f"/<any({', '.join(ACTS)}):name>"


class _Standing(NamedTuple):
    """An experiment, what restrains its policy, what may be done to it, and its newest row of the ledger."""

    stored: StoredExperiment
    restraints: Restraints
    acts: list[AnyAct]
    last: Decision | None


@bp.get("")
@for_people("editor")
@describes_page(Example(status=303))
def actions_page(key: str) -> str:
    """What may be done to a campaign now."""
    standing = _standing(key)
    return render_template(
        "actions.html",
        experiment=standing.stored.experiment,
        state=standing.stored.state,
        is_frozen=standing.restraints.is_frozen,
        warnings=list(restraint_warnings(standing.restraints)),
        acts=list(acts_view(standing.acts)),
        last=told(standing.stored.experiment, standing.last) if standing.last else None,
    )


@bp.get(_NAME)
@for_people("editor")
@describes_page(Example(status=303), words=ACTS)
def ask(key: str, name: AnyAct) -> Response:
    """Ask once before something is done."""
    return _question(key, name)


@bp.post(_NAME)
@for_people("editor")
@describes_page(Example(status=403), words=ACTS)
def answer(key: str, name: AnyAct) -> Response | AnyResponse:
    """Do what was confirmed."""
    _check_open(_standing(key), name)
    try:
        _do(key, name)
    except (InvalidReason, VerdictChanged) as error:
        return _question(key, name, refusal=error)
    current_installation().snapshots.refresh()
    return redirect(url_for("actions.actions_page", key=key), 303)


def _do(key: str, name: AnyAct) -> None:
    installation, person, written = current_installation(), current_person(), request.form.get("reason", "")
    assert person is not None, "only people are let in"
    # What begins needs no excuse.
    reason = "" if name == "start" and not written else parse_reason(written)
    deed = Deed(person.email, installation.clock.now_ms(), reason)
    if name == "finish":
        finish(installation.store, key, deed=deed, confirmed=_confirmed())
    else:
        do(installation.store, key, name, deed=deed)


def _confirmed() -> Finals:
    """The final arms that somebody saw; what cannot be read is none that anybody was shown."""
    try:
        shown: Finals = msgspec.json.decode(request.form.get("confirmed", ""), type=dict[str, Final])
    except msgspec.DecodeError:
        return {}
    return shown


def _question(key: str, name: AnyAct, *, refusal: BespokeError | None = None) -> Response:
    standing, installation = _standing(key), current_installation()
    _check_open(standing, name)
    now_ms = installation.clock.now_ms()
    finals = finals_of(installation.store, key, now_ms=now_ms).finals if name == "finish" else {}
    page = render_template(
        "confirm.html",
        experiment=standing.stored.experiment,
        act=act_view(name),
        winners=winners(standing.stored.experiment, finals),
        confirmed=msgspec.json.encode(finals).decode(),
        reason=request.form.get("reason", ""),
        longest=MAX_REASON,
        refusal=refusal and str(refusal),
        is_reason_wrong=isinstance(refusal, InvalidReason),
    )
    return make_response(page, status_of(refusal) if refusal else 200)


def _check_open(standing: _Standing, name: AnyAct) -> None:
    if name not in standing.acts:
        state = "frozen" if name == "freeze" and standing.restraints.is_frozen else standing.stored.state
        raise InvalidTransition(f"experiment {standing.stored.experiment.key!r} is {state}: {name} is not open to it")


def _standing(key: str) -> _Standing:
    def read(session: Session) -> _Standing:
        stored, last = find(session, key), session.ledger.last(key)
        restrained = restraints(session, key)
        acts = open_acts(stored.state, restrained)
        return _Standing(stored, restrained, acts, ledger_json(last) if last else None)

    return current_installation().store.read(read)
