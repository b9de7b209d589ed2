"""Pages for people: every one says for which role it is, and only its own forms change anything."""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from experiments.errors import StorageFull
from experiments.people import ROLES
from experiments.people import Role
from experiments.people import suffices
from service.installation import Installation
from service.people.forms import FIELD
from service.people.roles import for_people
from tests.service.conftest import SetClock
from tests.service.conftest import bearer
from tests.service.conftest import count_rows
from tests.service.people import COOKIE
from tests.service.people import PASSWORD
from tests.service.people import Someone
from tests.service.people import add_user
from tests.service.people import form_token
from tests.service.people import logged_in
from tests.service.test_auth import address
from tests.service.test_auth import guarded

_SAFE = ("GET", "HEAD", "OPTIONS")


def pages(app: Flask) -> Iterator[tuple[Rule, str, Role]]:
    """Every page, with a method and the role that it is for."""
    for rule in app.url_map.iter_rules():
        role = getattr(app.view_functions[rule.endpoint], "required_role", None)
        if role is not None:
            yield from ((rule, method, role) for method in sorted(rule.methods or ()))


def forms(app: Flask) -> Iterator[tuple[Rule, str]]:
    """Every address to which a form is sent, with the method."""
    for rule in app.url_map.iter_rules():
        if hasattr(app.view_functions[rule.endpoint], "door_for_people"):
            yield from ((rule, method) for method in sorted(rule.methods or ()) if method not in _SAFE)


def test_there_are_pages_for_viewers_and_for_admins(app: Flask) -> None:
    assert {role for _, _, role in pages(app)} >= {"viewer", "admin"}
    assert {rule.rule for rule, _ in forms(app)} >= {"/login", "/logout"}


def test_every_page_asks_who_it_is(app: Flask, client: FlaskClient) -> None:
    for rule, method, _ in pages(app):
        answer = client.open(address(rule), method=method)
        if method in ("GET", "HEAD"):
            assert (answer.status_code, answer.location.partition("?")[0]) == (303, "/login"), f"{method} {rule}"
        else:
            assert answer.status_code == 403, f"{method} {rule}"
        assert "Set-Cookie" not in answer.headers, f"{method} {rule}"


@pytest.mark.parametrize("own", ROLES)
def test_every_page_is_for_its_role_and_those_above(app: Flask, installation: Installation, own: Role) -> None:
    someone = logged_in(app, installation, own)
    lowest = {rule.rule: role for rule, _, role in sorted(pages(app), key=lambda page: -ROLES.index(page[2]))}
    for rule, method, role in pages(app):
        if rule.endpoint == "login.leave":
            continue
        # Which methods there are is told to whoever may use one of them.
        role = lowest[rule.rule] if method == "OPTIONS" else role
        fields = {FIELD: form_token(someone.open("/"))}
        answer = someone.open(address(rule), method=method, data=None if method in _SAFE else fields)
        # The experiment is not there, and the form is empty; whoever may see them is told so.
        expected = {200, 404, 422} if suffices(own, role) else {403}
        assert answer.status_code in expected, f"{method} {rule} as {own}"


@pytest.mark.parametrize("own", ROLES)
def test_whoever_is_in_can_leave(app: Flask, installation: Installation, own: Role) -> None:
    someone = logged_in(app, installation, own)
    assert someone.send("/logout", on="/").status_code == 303
    assert count_rows(installation, "sessions") == 0


def test_a_page_for_editors_is_not_for_viewers(app: Flask, installation: Installation) -> None:
    app.add_url_rule("/change", view_func=for_people("editor")(lambda: "changed"), methods=["GET", "POST"])
    viewer, editor = logged_in(app, installation, "viewer"), logged_in(app, installation, "editor")
    refused = viewer.open("/change")
    assert (refused.status_code, refused.json["code"]) == (403, "forbidden")
    assert editor.open("/change").text == "changed"
    assert editor.send("/change", on="/").text == "changed"
    assert editor.open("/change", method="POST").json["code"] == "invalid_form"
    assert viewer.send("/change", on="/").status_code == 403


def unchanged(installation: Installation) -> tuple[int, int]:
    return count_rows(installation, "audit"), count_rows(installation, "sessions")


@pytest.mark.parametrize("token", ["", "0" * 64, "é", "of another browser"])
def test_every_form_needs_the_token_of_its_browser(app: Flask, installation: Installation, token: str) -> None:
    someone, other = logged_in(app, installation, "admin"), Someone(app)
    before = unchanged(installation)
    foreign = form_token(other.open("/login"))
    for rule, method in forms(app):
        fields = {FIELD: foreign if token.startswith("of") else token, "email": "admin@shop.example"}
        answer = someone.open(address(rule), method=method, data={**fields, "password": PASSWORD})
        assert answer.status_code == 403, f"{method} {rule}"
        assert "The form has expired or is not this server&#39;s" in answer.text
    assert unchanged(installation) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost:8001"},
        {"Origin": "null"},
        {"Origin": "http://[nonsense"},
    ],
)
def test_every_form_is_refused_from_another_site(
    app: Flask, installation: Installation, headers: dict[str, str]
) -> None:
    someone = logged_in(app, installation, "admin")
    before = unchanged(installation)
    fields = {FIELD: form_token(someone.open("/")), "email": "admin@shop.example", "password": PASSWORD}
    for rule, method in forms(app):
        answer = someone.open(address(rule), method=method, data=fields, headers=headers)
        assert answer.status_code == 403, f"{method} {rule}"
    assert unchanged(installation) == before


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"}, {"Origin": "https://localhost"}]
)
def test_forms_of_this_site_are_heard_also_behind_a_proxy_that_ends_tls(
    app: Flask, installation: Installation, headers: dict[str, str]
) -> None:
    someone = logged_in(app, installation, "viewer")
    assert someone.send("/logout", on="/", headers=headers).status_code == 303


def test_no_get_changes_anything(app: Flask, installation: Installation) -> None:
    someone = logged_in(app, installation, "admin")
    before = unchanged(installation)
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or ()):
            someone.open(address(rule))
            someone.open(address(rule), query_string={FIELD: form_token(someone.open("/"))})
    assert unchanged(installation) == before


def test_a_session_opens_no_endpoint_of_programs(app: Flask, installation: Installation) -> None:
    someone = logged_in(app, installation, "admin")
    token = form_token(someone.open("/"))
    for rule, method in guarded(app):
        answer = someone.open(address(rule), method=method, headers={"Sec-Fetch-Site": "same-origin"})
        assert answer.status_code == 401, f"{method} {rule}"
        # Endpoints that look for a key in the body refuse a form for what it is.
        answer = someone.open(address(rule), method=method, data=None if method in _SAFE else {FIELD: token})
        assert answer.status_code in (401, 415), f"{method} {rule}"


def test_a_key_opens_no_page(client: FlaskClient, keys: dict[str, str]) -> None:
    assert client.get("/audit", headers=bearer(keys["admin"])).status_code == 303


def test_a_session_opens_the_report_and_a_link_still_does(
    app: Flask, client: FlaskClient, installation: Installation, running: dict[str, object]
) -> None:
    someone = logged_in(app, installation, "viewer")
    page = someone.open("/experiments/spring-mailing")
    assert page.status_code == 200
    assert "viewer@shop.example" in page.text and "Nobody has been exposed yet." in page.text
    assert "/experiments/spring-mailing" in someone.open("/").text
    unknown = someone.open("/experiments/other")
    assert (unknown.status_code, "does not exist" in unknown.text) == (404, True)
    assert someone.open("/experiments/spring-mailing?link=expired").status_code == 200
    assert client.get("/experiments/spring-mailing?link=expired").status_code == 403


def test_a_page_can_be_read_while_nothing_can_be_written(
    app: Flask, installation: Installation, clock: SetClock
) -> None:
    someone = logged_in(app, installation, "viewer")
    clock.advance(seconds=3600)

    def limit(pages: int) -> None:
        installation.store.transact(
            lambda session: session.connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()
        )

    limit(1)
    with pytest.raises(StorageFull):
        for number in range(10_000):
            installation.store.transact(lambda session, n=number: session.meta.set(f"n{n}", "x" * 1000))
    assert someone.open("/").status_code == 200
    limit(10**6)


def test_a_page_tells_a_refusal_as_a_page(app: Flask, installation: Installation) -> None:
    someone = logged_in(app, installation, "admin")
    for query in ("before=x", "before=0", "limit=1001", "nonsense=1", "actor=a&actor=b", "limit=" + "9" * 50):
        answer = someone.open(f"/audit?{query}")
        assert (answer.status_code, answer.mimetype) == (400, "text/html"), query
        assert "This cannot be shown" in answer.text


def test_a_form_of_another_kind_or_size_is_refused_and_no_fault(app: Flask, installation: Installation) -> None:
    someone = Someone(app)
    add_user(installation, "viewer")
    for body in (b"", b"\xff=\xfe", b"a" * 2_000_000, b"&".join(b"a=1" for _ in range(20_000)), b"email=%FF%00"):
        answer = someone.open("/login", method="POST", data=body, content_type="application/x-www-form-urlencoded")
        assert 400 <= answer.status_code < 500
    for kind in ("application/json", "multipart/form-data", "multipart/form-data; boundary=x", "text/plain"):
        assert someone.open("/login", method="POST", data=b"--x", content_type=kind).status_code == 403
    someone.client.set_cookie(COOKIE, "\0é;x")
    assert someone.open("/").status_code == 303
