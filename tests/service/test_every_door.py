"""Every route by every way in: what opens it is what it declares, and nothing else does."""

from collections.abc import Callable
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from experiments.keys import SCOPES
from experiments.keys import revoke_key
from experiments.people import ROLES
from experiments.people import suffices
from service.config import Config
from service.installation import Installation
from service.installation import open_installation
from service.people.forms import FIELD
from service.people.links import report_link
from service.requests.headers import ALWAYS
from tests.service.conftest import DEED
from tests.service.conftest import NOW_MS
from tests.service.conftest import SetClock
from tests.service.conftest import bearer
from tests.service.people import COOKIE
from tests.service.people import Someone
from tests.service.people import add_user
from tests.service.people import form_token
from tests.service.people import logged_in
from tests.service.test_auth import ADDRESSED
from tests.service.test_auth import PUBLIC
from tests.service.test_auth import address
from tests.service.test_auth import guarded
from tests.service.test_auth import new_key
from tests.service.test_people import forms
from tests.service.test_people import pages

_SAFE = ("GET", "HEAD", "OPTIONS")
#: What a link opens beside the page of its experiment's report.
LINKED = {"pages.report_page", "report_files.chart_as_svg", "report_files.chart_as_png", "report_files.figures"}
#: Everybody's, with a form.
FORMS = {"login.ask", "login.enter"}


def routes(app: Flask) -> Iterator[tuple[Rule, str]]:
    """Every route with each of its methods."""
    for rule in app.url_map.iter_rules():
        yield from ((rule, method) for method in sorted(rule.methods or ()) if method != "OPTIONS")


def test_every_route_is_declared_for_keys_for_people_or_for_everybody(app: Flask) -> None:
    for_keys = {rule.endpoint for rule, _ in guarded(app)}
    for_people = {rule.endpoint for rule, _, _ in pages(app)}
    every = {rule.endpoint for rule in app.url_map.iter_rules()}
    assert every == for_keys | for_people | PUBLIC | FORMS | {ADDRESSED}
    assert not for_keys & for_people
    for endpoint in for_keys | {ADDRESSED}:
        assert app.view_functions[endpoint].required_scope in SCOPES, endpoint  # type: ignore[attr-defined]


@pytest.mark.parametrize("scope", SCOPES)
def test_no_key_opens_a_page(app: Flask, client: FlaskClient, keys: dict[str, str], scope: str) -> None:
    for rule, method, _ in pages(app):
        if method != "OPTIONS":
            answer = client.open(address(rule), method=method, headers=bearer(keys[scope]))
            assert answer.status_code == (303 if method in _SAFE else 403), f"{method} {rule} as {scope}"


def check_asks_for_login(someone: Someone, rule: Rule, method: str, token: str) -> None:
    answer = someone.open(address(rule), method=method, data=None if method in _SAFE else {FIELD: token})
    if method in _SAFE:
        assert (answer.status_code, urlsplit(answer.location).path) == (303, "/login"), f"{method} {rule}"
    else:
        assert answer.status_code == 403, f"{method} {rule}"


def end_by_time(installation: Installation, clock: SetClock) -> None:
    clock.advance(seconds=installation.config.session_lifetime_seconds)


def end_elsewhere(installation: Installation, clock: SetClock) -> None:
    """Another process removes the user."""
    beside = open_installation(installation.config)
    beside.store.transact(lambda session: session.users.remove("admin@shop.example"))
    beside.close()


@pytest.mark.parametrize("end", [end_by_time, end_elsewhere])
def test_a_session_that_has_ended_opens_no_page(
    app: Flask, installation: Installation, clock: SetClock, end: Callable[[Installation, SetClock], None]
) -> None:
    someone = logged_in(app, installation, "admin")
    token = form_token(someone.open("/"))
    end(installation, clock)
    for rule, method, _ in pages(app):
        if method != "OPTIONS":
            check_asks_for_login(someone, rule, method, token)


def link(installation: Installation, key: str, *, expires_ms: int) -> str:
    """The query of a link to a report."""
    text = report_link(key, address="", expires_ms=expires_ms, keyring=installation.keyring)
    return text.partition("?")[2]


def test_a_link_opens_the_report_of_its_experiment_and_nothing_else(
    app: Flask, client: FlaskClient, installation: Installation, running: dict[str, object]
) -> None:
    query = link(installation, "spring-mailing", expires_ms=NOW_MS + 1)
    opened = set()
    for rule, method in routes(app):
        if rule.endpoint in PUBLIC | FORMS:
            continue
        answer = client.open(address(rule), method=method, query_string=query)
        if answer.status_code in (200, 404):
            opened.add(rule.endpoint)
        else:
            assert answer.status_code in (303, 401, 403), f"{method} {rule}"
    assert opened == LINKED


@pytest.mark.parametrize(
    "query",
    [
        lambda installation: link(installation, "another", expires_ms=NOW_MS + 1),
        lambda installation: link(installation, "spring-mailing", expires_ms=NOW_MS),
        lambda installation: link(installation, "spring-mailing", expires_ms=NOW_MS + 1)[:-1],
        lambda installation: "link=",
    ],
    ids=["of another experiment", "expired", "cut", "empty"],
)
def test_no_other_link_opens_anything(
    app: Flask, client: FlaskClient, installation: Installation, running: dict[str, object],
    query: Callable[[Installation], str],
) -> None:
    for rule, method in routes(app):
        if rule.endpoint in LINKED:
            answer = client.open(address(rule), method=method, query_string=query(installation))
            assert answer.status_code == 403, f"{method} {rule}"
            assert b"one-letter" not in answer.data


@pytest.mark.parametrize("own", ROLES)
def test_nobody_raises_their_role_by_a_second_session_or_a_key(
    app: Flask, installation: Installation, keys: dict[str, str], own: str
) -> None:
    someone = logged_in(app, installation, own)  # type: ignore[arg-type]
    for rule, method, role in pages(app):
        if method in ("GET", "HEAD") and not suffices(own, role):
            answer = someone.open(address(rule), method=method, headers=bearer(keys["admin"]))
            assert answer.status_code == 403, f"{method} {rule} as {own}"


def test_a_key_revoked_in_another_process_opens_nothing_any_more(
    app: Flask, client: FlaskClient, installation: Installation, config: Config
) -> None:
    key = new_key(installation, "admin")
    assert client.get("/v1/audit", headers=bearer(key)).status_code == 200
    beside = open_installation(config)
    revoke_key(beside.store, key[:12], deed=DEED)
    beside.close()
    installation.snapshots.refresh()
    for rule, method in guarded(app):
        assert client.open(address(rule), method=method, headers=bearer(key)).status_code == 401, f"{method} {rule}"


def every_answer(app: Flask, someone: Someone, keys: dict[str, str]) -> Iterator[tuple[str, TestResponse]]:
    """Every route as a stranger, as somebody and with a key, and with a method that it does not know."""
    stranger = Someone(app)
    for rule, method in routes(app):
        path = address(rule)
        yield f"{method} {path} of a stranger", stranger.open(path, method=method)
        yield f"{method} {path} of somebody", someone.open(path, method=method)
        yield f"{method} {path} with a key", stranger.open(path, method=method, headers=bearer(keys["admin"]))
        yield f"PROPFIND {path}", stranger.open(path, method="PROPFIND")


def test_every_answer_carries_the_headers_of_safety(
    app: Flask, installation: Installation, keys: dict[str, str], running: dict[str, object]
) -> None:
    someone = logged_in(app, installation, "viewer")
    for what, answer in every_answer(app, someone, keys):
        for name in ALWAYS:
            assert answer.headers.get(name), f"{name} of {what}"
        assert "'unsafe" not in answer.headers["Content-Security-Policy"], what
        assert answer.headers["X-Content-Type-Options"] == "nosniff", what


def test_no_answer_to_somebody_is_kept_by_caches(app: Flask, installation: Installation) -> None:
    someone = logged_in(app, installation, "admin")
    for rule, method, _ in pages(app):
        if method != "OPTIONS" and rule.endpoint != "login.leave":
            assert someone.open(address(rule), method=method).headers["Cache-Control"] == "private, no-store"


def test_no_refusal_repeats_a_secret(app: Flask, client: FlaskClient, installation: Installation) -> None:
    key, password = "sk_abcdefghi" + "S" * 43, "a secret password of theirs"
    for rule, method in routes(app):
        for headers in (bearer(key), {"X-API-Key": key}, {"Cookie": f"{COOKIE}={key}"}):
            answer = client.open(address(rule), method=method, headers=headers, data=key, content_type="text/plain")
            assert key.encode() not in answer.data, f"{method} {rule}"
    add_user(installation, "viewer")
    for email in ("viewer@shop.example", "nobody@shop.example", "nonsense"):
        answer = Someone(app).log_in(email, password=password)
        assert answer.status_code in (403, 422)
        assert password.encode() not in answer.data


def test_every_form_is_refused_unless_this_server_made_it(app: Flask, installation: Installation) -> None:
    someone = logged_in(app, installation, "admin")
    kinds = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "application/json")
    for rule, method in forms(app):
        for kind in kinds:
            answer = someone.open(address(rule), method=method, data=b"email=a&form_token=0", content_type=kind)
            assert answer.status_code == 403, f"{method} {rule} as {kind}"
