"""People on requests: every page says which role it is for, and a browser shows by its session who it is."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from flask import Flask
from flask import Response
from flask import current_app
from flask import g
from flask import redirect
from flask import request
from flask import url_for
from werkzeug.wrappers import Response as AnyResponse

from experiments.errors import StorageError
from experiments.logins import Person
from experiments.logins import mark_seen
from experiments.logins import person_of
from experiments.people import Role
from experiments.people import suffices
from service.auth import View
from service.auth import public
from service.current import current_installation
from service.errors import Refused
from service.people.forms import check_form
from service.people.forms import form_token
from service.people.sessions import presented_id
from service.requests.local_paths import HOME
from service.requests.local_paths import is_local

_DOOR = "door_for_people"
_ROLE = "required_role"


def for_people(role: Role, *, unless: Callable[[], bool] = lambda: False) -> Callable[[View], View]:
    """Let in whoever is logged in with a role that suffices, and forms of theirs that this server made.

    Others are sent to log in, unless `unless` lets them in for another reason.
    """

    def mark(view: View) -> View:
        setattr(view, _ROLE, role)
        setattr(view, _DOOR, partial(_admit, role, unless))
        return public(view)

    return mark


def public_form(view: View) -> View:
    """Let everybody in, but of forms only those that this server made for their browser."""
    setattr(view, _DOOR, check_form)
    return public(view)


def init_app(app: Flask) -> None:
    """Ask every request for what its page requires, and let pages know who reads them."""
    app.before_request(_check)
    app.after_request(_tell_origin)
    app.context_processor(lambda: {"person": g.get("person"), "may": _may, "form_token": form_token})


def current_person() -> Person | None:
    """Who is logged in with this request's session."""
    if "person" not in g:
        installation, session_id = current_installation(), presented_id()
        now_ms = installation.clock.now_ms()
        g.person = person_of(installation.store, session_id, now_ms=now_ms) if session_id else None
    person = g.person
    assert person is None or isinstance(person, Person)
    return person


def _may(role: Role) -> bool:
    """Whether whoever reads the page has a role that suffices."""
    person = g.get("person")
    return isinstance(person, Person) and suffices(person.role, role)


def _check() -> AnyResponse | None:
    door: Callable[[], AnyResponse | None] | None = getattr(_view(), _DOOR, None)
    return door() if door else None


def _view() -> object:
    return current_app.view_functions.get(request.endpoint or "")


def _admit(role: Role, unless: Callable[[], bool]) -> AnyResponse | None:
    person = current_person()
    if person is None:
        return None if unless() else _ask_for_login()
    if not suffices(person.role, role):
        raise Refused(403, "forbidden", f"a user of role {person.role} may not do this: it takes the role {role}")
    check_form()
    installation = current_installation()
    # A page can be read while nothing can be written.
    with suppress(StorageError):
        mark_seen(installation.store, person, now_ms=installation.clock.now_ms())
    return None


def _ask_for_login() -> AnyResponse:
    if request.method not in ("GET", "HEAD"):
        raise Refused(403, "login_required", "nobody is logged in here any more: log in first")
    here = request.full_path.removesuffix("?")
    return redirect(url_for("login.ask", next=here if is_local(here) else HOME), 303)


def _tell_origin(response: Response) -> Response:
    # Without a referrer browsers send forms with `Origin: null`, which says nothing of where they come from.
    if hasattr(_view(), _DOOR):
        response.headers["Referrer-Policy"] = "same-origin"
    return response
