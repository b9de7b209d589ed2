"""Log in and out."""

import secrets
from threading import BoundedSemaphore

from flask import Blueprint
from flask import Response
from flask import make_response
from flask import redirect
from flask import render_template
from flask import request
from flask import url_for
from werkzeug.wrappers import Response as AnyResponse

from experiments.errors import InvalidUser
from experiments.errors import WrongLogin
from experiments.errors import shown
from experiments.logins import Attempt
from experiments.logins import log_in
from experiments.logins import log_out
from experiments.people import parse_email
from service.current import current_installation
from service.errors import Refused
from service.errors import status_of
from service.people.passwords import verify_password
from service.people.roles import current_person
from service.people.roles import for_people
from service.people.roles import public_form
from service.people.sessions import browser_id
from service.people.sessions import forget_id
from service.people.sessions import keep_id
from service.reference.operations import Example
from service.reference.operations import Parameter
from service.reference.operations import TEXT
from service.refusal_pages import describes_page
from service.refusal_pages import init_pages
from service.requests.local_paths import HOME
from service.requests.local_paths import is_local
from service.requests.throttle import network_of

bp = Blueprint("login", __name__)
init_pages(bp)

#: How many may be logging in at once: each takes 64 MB and a thread for a while, and others have to be served.
ROOM = BoundedSemaphore(4)


@bp.get("/login")
@public_form
@describes_page(Example(path={}), query={"next": Parameter(TEXT, "the page to go on to")})
def ask() -> Response | AnyResponse:
    """Ask for e-mail and password."""
    after = _next(request.args.get("next", HOME))
    return redirect(after, 303) if current_person() else _form(after)


@bp.post("/login")
@public_form
@describes_page(Example(path={}, status=403))
def enter() -> Response | AnyResponse:
    """Log in, and go on to where one was going."""
    after = _next(request.form.get("next", HOME))
    if not ROOM.acquire(blocking=False):
        return _wait(after, seconds=1)
    try:
        return _entered(after)
    except (InvalidUser, WrongLogin) as error:
        return _form(after, refusal=str(error), status=status_of(error))
    finally:
        ROOM.release()


@bp.post("/logout")
@for_people("viewer")
@describes_page(Example(path={}, status=403))
def leave() -> Response | AnyResponse:
    """Log out."""
    installation, person = current_installation(), current_person()
    assert person is not None, "only people are let in"
    log_out(installation.store, person, now_ms=installation.clock.now_ms())
    return forget_id(make_response(redirect(url_for("login.ask"), 303)))


def _next(path: str) -> str:
    if not is_local(path):
        raise Refused(400, "invalid_next", f"next: {shown(path)} must be a path of this server")
    return path


def _form(after: str, *, refusal: str = "", status: int = 200) -> Response:
    email = request.form.get("email", "")
    return make_response(render_template("login.html", after=after, email=email, refusal=refusal), status)


def _wait(after: str, *, seconds: int) -> Response:
    response = _form(after, refusal=f"too many attempts to log in: try again in {seconds} s", status=429)
    response.headers["Retry-After"] = str(seconds)
    return response


def _entered(after: str) -> Response:
    installation = current_installation()
    attempt, now_ms = _attempt(), installation.clock.now_ms()
    network = network_of(attempt.address)
    seconds = installation.attempts.begin(email=attempt.email, address=network, now_ms=now_ms)
    if seconds:
        return _wait(after, seconds=seconds)
    session_id = log_in(
        installation.store,
        attempt,
        verify_password=verify_password,
        lifetime_seconds=installation.config.session_lifetime_seconds,
        now_ms=now_ms,
        random=secrets.token_bytes,
    )
    installation.attempts.succeed(email=attempt.email, address=network)
    response = make_response(redirect(after, 303))
    return keep_id(response, session_id, lifetime_seconds=installation.config.session_lifetime_seconds)


def _attempt() -> Attempt:
    email = parse_email(request.form.get("email", "").strip())
    return Attempt(email, request.form.get("password", ""), request.remote_addr or "", browser_id())
