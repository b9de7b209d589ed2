"""The page of the people who may log in: who there is, and as what."""

from flask import Blueprint
from flask import redirect
from flask import render_template
from flask import request
from flask import url_for
from werkzeug.wrappers import Response as AnyResponse

from experiments.audit import Deed
from experiments.people import ROLES
from experiments.people import change_role
from experiments.people import list_users
from service.current import current_installation
from service.people.roles import current_person
from service.people.roles import for_people
from service.reference.operations import Example
from service.refusal_pages import describes_page
from service.refusal_pages import init_pages

bp = Blueprint("people", __name__)
init_pages(bp)


@bp.get("/people")
@for_people("admin")
@describes_page(Example(path={}, status=303))
def people_page() -> str:
    """Everybody who may log in, and as what."""
    users = list_users(current_installation().store)
    admins = [user.email for user in users if user.role == "admin"]
    return render_template("people.html", users=users, roles=ROLES, last_admin=admins[0] if len(admins) == 1 else None)


@bp.post("/people")
@for_people("admin")
@describes_page(Example(path={}, status=403))
def people_role() -> AnyResponse:
    """Give somebody another role."""
    person = current_person()
    assert person is not None, "only people are let in"
    installation, form = current_installation(), request.form
    deed = Deed(person.email, installation.clock.now_ms())
    change_role(installation.store, form.get("email", ""), role=form.get("role", ""), deed=deed)
    return redirect(url_for("people.people_page"), 303)
