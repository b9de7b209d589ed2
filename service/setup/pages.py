"""The guided set-up: an experiment as a form in steps, kept as a draft with every step that is sent."""

import re
from collections.abc import Iterable

from flask import Blueprint
from flask import Response
from flask import make_response
from flask import redirect
from flask import render_template
from flask import request
from flask import url_for
from werkzeug.wrappers import Response as AnyResponse

from experiments.audit import Deed
from experiments.drafts import NEW
from experiments.drafts import begun
from experiments.drafts import discard_draft
from experiments.drafts import keep_draft
from experiments.drafts import version_of
from experiments.errors import ExperimentExists
from experiments.errors import FrozenDocument
from experiments.errors import Problem
from experiments.errors import shown
from experiments.lifecycle import create
from experiments.lifecycle import find
from experiments.lifecycle import replace
from experiments.model import StoredExperiment
from experiments.shares import RecentShares
from experiments.shares import recent_shares
from service.current import current_installation
from service.errors import Refused
from service.people.roles import current_person
from service.people.roles import for_people
from service.reference.operations import Example
from service.reference.operations import Parameter
from service.reference.operations import TEXT
from service.refusal_pages import describes_page
from service.refusal_pages import init_pages
from service.setup import wording as setup_wording
from service.setup.documents import UnreadableDocument
from service.setup.documents import read_document
from service.setup.errors import errors_of
from service.setup.form import document_of
from service.setup.form import sheet_of
from service.setup.kinds import Sheet
from service.setup.kinds import json_text
from service.setup.names import UnknownButton
from service.setup.names import is_row
from service.setup.names import pressed
from service.setup.names import row_of
from service.setup.names import unfolded
from service.setup.preview import previews
from service.setup.rules import ASKS
from service.setup.rules import MATCHES
from service.setup.state import STEPS
from service.setup.state import Setup
from service.setup.state import faults
from service.setup.state import is_changed
from service.setup.state import opened
from service.setup.state import retyped
from service.setup.state import typed
from service.setup.traffic import Samples
from service.setup.traffic import samples
from service.setup.traffic import segments_view
from service.setup.view import Traffic
from service.setup.view import following
from service.setup.view import setup_view

bp = Blueprint("setup", __name__)
init_pages(bp)

_QUERY = {
    "step": Parameter({"type": "string", "enum": [*STEPS]}, "which part of the form; the first without it"),
    "at": Parameter(TEXT, "the field to go on at"),
    "faults": Parameter(TEXT, "given, what is wrong is shown"),
    "visitor": Parameter(TEXT, "which recent visitor the messages are written for; 0 is none of them"),
}
_CHANGED = (
    "Somebody has changed the experiment since you opened it: discard your draft, or save again to replace theirs"
)


@bp.get("/new")
@for_people("editor")
@describes_page(Example(path={}, status=303), query=_QUERY)
def new_form() -> Response:
    """A step of the form of a new experiment."""
    return _asked(NEW)


@bp.post("/new")
@for_people("editor")
@describes_page(Example(path={}, status=403), query=_QUERY)
def new() -> AnyResponse:
    """Keep what was typed of a new experiment; make it one as soon as it can work."""
    return _sent(NEW)


@bp.get("/experiments/<key>/edit")
@for_people("editor")
@describes_page(Example(status=303), query=_QUERY)
def edit_form(key: str) -> Response:
    """A step of the form of an experiment."""
    return _asked(key)


@bp.post("/experiments/<key>/edit")
@for_people("editor")
@describes_page(Example(status=403), query=_QUERY)
def edit(key: str) -> AnyResponse:
    """Keep what was typed of an experiment; make it the document as soon as it can work."""
    return _sent(key)


@bp.post("/preview")
@for_people("editor")
@describes_page(Example(path={}, status=403))
def preview() -> str:
    """The messages that are being typed, written for the sample visitor that is being typed, as text."""
    setup = typed(_opened(request.form.get("experiment", NEW)), "messages", _texts())
    hidden = set(filter(is_row, request.form))
    known = _samples(setup.sheet).attributes
    shown_to = previews(setup.sheet, setup.sample, known=known, hidden=hidden)
    return render_template("setup_preview.html", previews=shown_to)


@bp.get("/experiments/<key>/document")
@for_people("viewer")
@describes_page(Example(status=303))
def document_page(key: str) -> str:
    """The experiment document as it is stored."""
    stored = current_installation().store.read(lambda session: find(session, key))
    return render_template("document.html", stored=stored, document=json_text(dict(stored.document)))


def _email() -> str:
    person = current_person()
    assert person is not None, "only people are let in"
    return person.email


def _opened(key: str) -> Setup:
    return opened(begun(current_installation().store, _email(), key))


def _step() -> str:
    step = request.args.get("step", next(iter(STEPS)))
    if step not in STEPS:
        raise Refused(400, "invalid_step", f"step: {shown(step)} must be one of {', '.join(STEPS)}")
    return step


def _texts() -> list[tuple[str, Sheet]]:
    """What was sent, rows that were folded opened again; of several values under one name each is a line."""
    return [(name, _row(name, texts[0]) if is_row(name) else "\n".join(texts)) for name, texts in request.form.lists()]


def _row(name: str, text: str) -> Sheet:
    try:
        return unfolded(text)
    except UnreadableDocument as error:
        rule = str(error).replace("the document", "the row", 1)
        raise Refused(400, "invalid_row", f"{name}: {shown(text)}: {rule}") from error


def _asked(key: str) -> Response:
    setup, step = _opened(key), _step()
    return _page(setup, step, faults(setup), shows_errors="faults" in request.args or step == "check")


def _page(setup: Setup, step: str, problems: Iterable[Problem], *, shows_errors: bool) -> Response:
    at = request.args.get("at", "")
    view = setup_view(setup, step, problems, traffic=_traffic(setup, step), shows_errors=shows_errors, at=at)
    status = 422 if view.errors and request.method == "POST" else 200
    page = render_template(
        "setup.html", view=view, key=setup.stored.experiment.key if setup.stored else NEW, base=setup.base,
        words=setup_wording, asks=ASKS, matches=MATCHES, at=at, row=row_of(at),
        pasted=request.form.get("document"),
    )
    return make_response(page, status)


def _traffic(setup: Setup, step: str) -> Traffic:
    """What is known of visitors, as far as a step shows it."""
    installation = current_installation()
    if step == "messages":
        return Traffic(samples=_samples(setup.sheet))
    if step != "segments":
        return Traffic()
    segments = segments_view(setup.sheet, installation.recent, min_cell=installation.config.min_cell)
    return Traffic(segments=segments, shares=_shares(setup.stored) if setup.stored else None)


def _shares(stored: StoredExperiment) -> RecentShares:
    installation = current_installation()
    return recent_shares(
        installation.store, stored.experiment.key, now_ms=installation.clock.now_ms(),
        min_cell=installation.config.min_cell,
    )


def _samples(sheet: Sheet) -> Samples:
    installation = current_installation()
    contexts, min_cell = installation.recent.contexts(), installation.config.min_cell
    return samples(sheet, contexts, wanted=_wanted_visitor(), min_cell=min_cell)


def _wanted_visitor() -> int | None:
    """Which of the recent visitors the messages are to be written for; 0 is none of them."""
    text = request.values.get("visitor")
    if text is not None and not re.fullmatch("[0-9]", text):
        raise Refused(400, "invalid_visitor", f"visitor: {shown(text)} must be a digit")
    return None if text is None else int(text)


def _sent(key: str) -> AnyResponse:
    setup, step, button = _opened(key), _step(), request.form.get("do", "save")
    if setup.has_ended and setup.stored:
        raise FrozenDocument(f"experiment {key!r} is {setup.stored.state}: its document no longer changes")
    if button == "discard":
        discard_draft(current_installation().store, _email(), key)
        return _to(key, "basics")
    setup = typed(setup, step, _texts())
    if button == "paste":
        return _pasted(setup, key)
    return _saved(setup, key, step) if button in ("save", "apply") else _pressed(setup, key, step, button)


def _pressed(setup: Setup, key: str, step: str, button: str) -> AnyResponse:
    """A button that changes the form and comes back to it."""
    if button == "preview":
        _keep(setup, key)
        return _to(key, step, at=request.args.get("at"), visitor=_wanted_visitor(), anchor="preview")
    try:
        sheet, path = pressed(setup.sheet, button)
    except UnknownButton as error:
        raise Refused(400, "invalid_button", f"do: {error}") from error
    _keep(retyped(setup, sheet), key)
    return _to(key, step, at=path, anchor=path)


def _pasted(setup: Setup, key: str) -> AnyResponse:
    """The form as a document fills it in that was typed or pasted as JSON."""
    try:
        document = read_document(request.form.get("document", "").encode())
        if not isinstance(document, dict):
            raise UnreadableDocument("the document must be a JSON object")
    except UnreadableDocument as error:
        return _page(setup, "check", [*faults(setup), Problem("document", None, str(error))], shows_errors=True)
    return _saved(retyped(setup, sheet_of(document)), key, "check")


def _saved(setup: Setup, key: str, step: str) -> AnyResponse:
    """Keep the form, make it the document where it can be, and go on where nothing is wrong with this step."""
    setup, conflicts = _based(setup, step)
    _keep(setup, key)
    problems = [*conflicts, *faults(setup)]
    if not problems and _is_to_be_applied(setup):
        problems, key = _applied(setup, key)
        step = errors_of(problems, setup.sheet)[0].step if problems else step
    view = setup_view(setup, step, problems, traffic=Traffic(), shows_errors=True)
    if view.is_held_up:
        return _page(setup, step, problems, shows_errors=True)
    return _to(key, following(step))


def _is_to_be_applied(setup: Setup) -> bool:
    """A campaign that has begun changes only when that is what was asked for."""
    return not setup.is_started or request.form.get("do") == "apply" or not is_changed(setup)


def _based(setup: Setup, step: str) -> tuple[Setup, list[Problem]]:
    """The set-up on the document as it is now, and the fault that it was made from another."""
    version = version_of(setup.stored)
    rebased = Setup(setup.stored, setup.sheet, setup.sample, version, True)
    return rebased, [] if setup.base == version else [Problem(STEPS[step][0], None, _CHANGED)]


def _applied(setup: Setup, key: str) -> tuple[list[Problem], str]:
    """What keeps the form from being the document after all, and the experiment's key."""
    installation, document = current_installation(), document_of(setup.sheet).document
    deed = Deed(_email(), installation.clock.now_ms())
    try:
        if key == NEW:
            create(installation.store, document, deed=deed)
            discard_draft(installation.store, _email(), NEW)
        elif is_changed(setup):
            replace(installation.store, key, document, deed=deed)
    except ExperimentExists:
        return [Problem("key", document["key"], "is the key of another experiment")], key
    except FrozenDocument as error:
        return error.problems or [Problem("name", None, str(error))], key
    _keep_sample(document["key"], setup)
    return [], document["key"]


def _keep(setup: Setup, key: str) -> None:
    installation = current_installation()
    keep_draft(installation.store, _email(), key, setup.body, now_ms=installation.clock.now_ms())


def _keep_sample(key: str, setup: Setup) -> None:
    """Of a form that has become the document only the sample visitor is one's own."""
    installation = current_installation()
    body = {**setup.body, "sheet": None}
    keep_draft(installation.store, _email(), key, body, now_ms=installation.clock.now_ms())


def _to(
    key: str, step: str, *, at: str | None = None, visitor: int | None = None, anchor: str | None = None
) -> AnyResponse:
    if key == NEW:
        return redirect(url_for("setup.new_form", step=step, at=at, visitor=visitor, _anchor=anchor), 303)
    return redirect(url_for("setup.edit_form", key=key, step=step, at=at, visitor=visitor, _anchor=anchor), 303)
