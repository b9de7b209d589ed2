"""The gallery as a page, whose campaigns fill in the form of a new one."""

from flask import Blueprint
from flask import redirect
from flask import render_template
from flask import request
from flask import url_for
from werkzeug.wrappers import Response as AnyResponse

from experiments.drafts import NEW
from experiments.drafts import begun
from experiments.drafts import keep_draft
from experiments.errors import shown
from service.current import current_installation
from service.errors import Refused
from service.gallery.entries import Entry
from service.gallery.entries import gallery
from service.gallery.view import cards
from service.people.roles import current_person
from service.people.roles import for_people
from service.reference.operations import Example
from service.refusal_pages import describes_page
from service.refusal_pages import init_pages
from service.setup.state import opened
from service.setup.state import prefilled

bp = Blueprint("gallery_page", __name__)
init_pages(bp)


@bp.get("/gallery")
@for_people("editor")
@describes_page(Example(path={}, status=303))
def gallery_page() -> str:
    """Ready campaigns of each kind of segment, to begin from."""
    has_draft = opened(begun(current_installation().store, _email(), NEW)).is_draft
    return render_template("gallery.html", cards=cards(gallery().values()), has_draft=has_draft)


@bp.post("/gallery")
@for_people("editor")
@describes_page(Example(path={}, status=403))
def begin() -> AnyResponse:
    """Fill in the form of a new experiment as an entry does, in place of what had been typed of one."""
    installation, entry = current_installation(), _entry(request.form.get("name", ""))
    setup = prefilled(entry.document)
    keep_draft(installation.store, _email(), NEW, setup.body, now_ms=installation.clock.now_ms())
    return redirect(url_for("setup.new_form"), 303)


def _entry(name: str) -> Entry:
    if name not in gallery():
        raise Refused(404, "unknown_entry", f"name: {shown(name)} must be one of {', '.join(gallery())}")
    return gallery()[name]


def _email() -> str:
    person = current_person()
    assert person is not None, "only people are let in"
    return person.email
