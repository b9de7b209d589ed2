"""The audit log over HTTP: whatever changes the configuration is in it, and no secret is."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from experiments.acts import ACTS
from experiments.verification import verify
from service.config import Config
from service.installation import Installation
from tests.experiments.documents import tiny
from tests.service.conftest import bearer
from tests.service.conftest import count_rows
from tests.service.people import COOKIE
from tests.service.people import PASSWORD
from tests.service.people import Someone
from tests.service.people import add_user
from tests.service.people import form_token
from tests.service.people import logged_in

Ask = Callable[..., Any]


@pytest.fixture(name="ask")
def _ask(client: FlaskClient, keys: dict[str, str]) -> Ask:
    """Requests of somebody with the admin key."""

    def ask(method: str, path: str, document: Any = None) -> Any:
        response = client.open(path, method=method, json=document, headers=bearer(keys["admin"]))
        assert response.status_code < 300, response.json
        return response.json

    return ask


SEGMENTED = {
    "attributes": {"member": "boolean"},
    "segments": [{"key": "members", "kind": "behavioral", "rule": {"member": True}}],
}
#: One success of every route that changes the configuration: by its rule, the requests and what the log says of each.
CHANGES = {
    ("POST", "/v1/experiments"): [("/v1/experiments", tiny(**SEGMENTED), "experiment create")],
    ("PUT", "/v1/experiments/<key>"): [
        ("/v1/experiments/tiny", tiny(name="Another", **SEGMENTED), "experiment replace")
    ],
    ("POST", f"/v1/experiments/<key>/<any({', '.join(ACTS)}):name>"): [
        (f"/v1/experiments/tiny/{act}", {"reason": "a test"}, f"experiment {act}")
        for act in ("start", "pause", "resume", "freeze", "finish", "unfreeze")
    ],
    ("POST", "/v1/experiments/<key>/segments/<segment>/review"): [
        ("/v1/experiments/tiny/segments/members/review", {"review_by": "2027-03-01"}, "segment review")
    ],
    ("POST", "/v1/experiments/<key>/reallocate"): [("/v1/experiments/tiny/reallocate", None, "reallocate")],
}
#: What these write, of somebody and not of an experiment, stands in test_roles.py and test_visitors.py; nothing is
#: changed by a look.
OTHERS = {("POST", "/v1/users/role"), ("POST", "/v1/visitors/lookup"), ("POST", "/v1/visitors/erase")}


def test_every_route_that_changes_something_writes_one_row(
    app: Flask, ask: Ask, keys: dict[str, str], installation: Installation
) -> None:
    changing = {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        if getattr(app.view_functions[rule.endpoint], "required_scope", None) == "admin"
        for method in (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}
    }
    assert changing == CHANGES.keys() | OTHERS
    for (method, _), requests in CHANGES.items():
        for path, document, action in requests:
            before = count_rows(installation, "audit")
            ask(method, path, document)
            (row, *_) = ask("GET", "/v1/audit?limit=1")["audit"]
            assert count_rows(installation, "audit") == before + 1
            assert (row["action"], row["actor"]) == (action, keys["admin"][:12])
            assert row["subject"] == "tiny"
    assert verify(installation.store) == []


def test_logins_are_told_and_failed_ones_name_nobody_who_is_unknown(
    app: Flask, ask: Ask, installation: Installation
) -> None:
    email, someone = add_user(installation, "admin"), Someone(app)
    someone.log_in("my.secret@password.example")
    someone.log_in(email, password="wrong")
    someone.log_in(email)
    someone.send("/logout", on="/")
    rows = ask("GET", "/v1/audit?limit=4")["audit"]
    assert [(row["action"], row["actor"], row["subject"]) for row in reversed(rows)] == [
        ("login failed", "somebody", "somebody"),
        ("login failed", "somebody", email),
        ("login", email, email),
        ("logout", email, email),
    ]
    assert rows[1]["details"] == {"address": "127.0.0.1"}


def test_it_is_read_by_pages_with_conditions(ask: Ask) -> None:
    for number in range(5):
        ask("POST", "/v1/experiments", tiny(key=f"e{number}"))
    first = ask("GET", "/v1/audit?limit=4")
    second = ask("GET", f"/v1/audit?limit=100&before={first['before']}")
    numbers = [row["number"] for row in first["audit"] + second["audit"]]
    assert numbers == list(range(len(numbers), 0, -1))
    assert second["before"] is None
    assert [row["subject"] for row in ask("GET", "/v1/audit?subject=e3")["audit"]] == ["e3"]
    assert ask("GET", "/v1/audit?actor=nobody") == {"audit": [], "before": None}


@pytest.mark.parametrize(
    "query", ["before=-1", "before=1.5", "before=²", "limit=0", "limit=9999", "who=ann", "actor=a&actor=b"]
)
def test_a_question_that_cannot_be_answered_is_refused(client: FlaskClient, keys: dict[str, str], query: str) -> None:
    response = client.get(f"/v1/audit?{query}", headers=bearer(keys["admin"]))
    assert (response.status_code, response.json["code"]) == (400, "invalid_query")
    assert query.partition("=")[0] in response.json["detail"]


def test_the_page_shows_it_and_leads_to_older_rows(app: Flask, ask: Ask, installation: Installation) -> None:
    ask("POST", "/v1/experiments", tiny(key="e1", name="<script>"))
    someone = logged_in(app, installation, "admin")
    page = someone.open("/audit?subject=e1").text
    assert "experiment create" in page and "login" not in page.partition("<table>")[2]
    newest = someone.open("/audit?limit=1").text
    assert "address: 127.0.0.1" in newest
    older = newest.partition('<p><a href="')[2].partition('"')[0].replace("&amp;", "&")
    assert "user create" in someone.open(older).text
    assert "No row matches." in someone.open("/audit?actor=nobody").text


def test_no_password_session_or_key_is_in_database_log_or_audit(
    app: Flask, ask: Ask, keys: dict[str, str], installation: Installation, config: Config,
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    email, someone = add_user(installation, "admin"), Someone(app)
    planted = {PASSWORD, "a wrong password", "typed in the wrong field"}
    someone.log_in(email, password="a wrong password")
    someone.log_in("typed in the wrong field", password=PASSWORD)
    planted.add(str(someone.cookie()))
    planted.add(form_token(someone.open("/login")))
    someone.log_in(email)
    planted |= {str(someone.cookie()), form_token(someone.open("/"))}
    for key in keys.values():
        ask("GET", "/v1/audit")
        planted.add(key[12:])
    answers = str(ask("GET", "/v1/audit?limit=1000")) + someone.open("/audit").text.partition("<main")[2]
    installation.close()
    files = b"".join(path.read_bytes() for path in config.database_path.parent.glob("bespoke.db*"))
    printed = "".join(capfd.readouterr()) + caplog.text
    assert email.encode() in files
    for secret in planted:
        assert secret.encode() not in files and secret not in printed and secret not in answers, secret
    assert len(planted) == 11 and someone.cookie(COOKIE)
