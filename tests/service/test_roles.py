"""Another role for somebody: by the page, by HTTP and on the command line, audited, at once, and never none left."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from experiments.audit import Selection
from experiments.audit import audit_of
from experiments.people import list_users
from service.installation import Installation
from tests.service.conftest import Run
from tests.service.conftest import bearer
from tests.service.conftest import count_rows
from tests.service.people import add_user
from tests.service.people import logged_in

ANN, BOB = "admin@shop.example", "viewer@shop.example"


def roles(installation: Installation) -> dict[str, str]:
    return {row.email: row.role for row in list_users(installation.store)}


def newest(installation: Installation) -> dict[str, Any]:
    row = audit_of(installation.store, Selection(None, None, None, 1)).rows[0]
    return {name: row[name] for name in ("actor", "action", "subject", "details")}


def test_the_page_changes_a_role_and_whoever_is_logged_in_has_it_at_once(
    app: Flask, installation: Installation
) -> None:
    ann, bob = logged_in(app, installation, "admin"), logged_in(app, installation, "viewer")
    assert bob.open("/new").status_code == 403
    page = ann.open("/people").text
    assert "Role of viewer@shop.example" in page and f"Role of {ANN}" not in page and "the only one" in page
    assert ann.send("/people", on="/people", email=BOB, role="editor").status_code == 303
    assert newest(installation) == {
        "actor": ANN, "action": "user role", "subject": BOB, "details": {"role": "editor", "before": "viewer"},
    }
    assert bob.open("/new").status_code == 200
    ann.send("/people", on="/people", email=BOB, role="admin")
    assert bob.open("/people").status_code == 200
    bob.send("/people", on="/people", email=ANN, role="viewer")
    assert roles(installation) == {ANN: "viewer", BOB: "admin"}
    assert ann.open("/people").status_code == 403


def test_the_only_admin_stays_one(
    app: Flask, installation: Installation, client: FlaskClient, keys: dict[str, str]
) -> None:
    ann = logged_in(app, installation, "admin")
    before = count_rows(installation, "audit")
    answer = ann.send("/people", on="/people", email=ANN.upper(), role="viewer")
    assert answer.status_code == 409 and "is of the only admin, who stays one until there is another" in answer.text
    asked = {"email": ANN, "role": "editor"}
    answer = client.post("/v1/users/role", json=asked, headers=bearer(keys["admin"]))
    assert (answer.status_code, answer.json["code"]) == (409, "last_admin")
    assert (roles(installation), count_rows(installation, "audit")) == ({ANN: "admin"}, before)
    add_user(installation, "admin", email="cem@shop.example")
    assert client.post("/v1/users/role", json=asked, headers=bearer(keys["admin"])).status_code == 200
    assert roles(installation) == {ANN: "editor", "cem@shop.example": "admin"}


def test_programs_list_users_and_change_roles(
    installation: Installation, client: FlaskClient, keys: dict[str, str]
) -> None:
    add_user(installation, "viewer")
    headers = bearer(keys["admin"])
    user = {"email": BOB, "role": "viewer", "created_at": "2026-12-01T10:00:00Z"}
    assert client.get("/v1/users", headers=headers).json == {"users": [user]}
    answer = client.post("/v1/users/role", json={"email": BOB, "role": "editor"}, headers=headers)
    assert answer.json == {**user, "role": "editor"}
    assert newest(installation)["actor"] in keys["admin"]


@pytest.mark.parametrize(("body", "status", "saying"), [
    ({"email": BOB, "role": "king"}, 422, "role: 'king' must be one of viewer, editor, admin"),
    ({"email": BOB}, 422, "role: None must be a text"), ({"email": 7, "role": "editor"}, 422, "email: 7 must be"),
    ({"email": "nobody", "role": "editor"}, 422, "e-mail: 'nobody' must be like"),
    ({"email": "eve@shop.example", "role": "editor"}, 404, "'eve@shop.example' is of no user"),
    ({"email": BOB, "role": "editor", "password": "x"}, 422, "'password' must be one of email, role"),
])
def test_what_cannot_be_is_refused(
    installation: Installation,
    client: FlaskClient,
    keys: dict[str, str],
    body: dict[str, Any],
    status: int,
    saying: str,
) -> None:
    add_user(installation, "viewer")
    answer = client.post("/v1/users/role", json=body, headers=bearer(keys["admin"]))
    assert answer.status_code == status and saying in answer.json["detail"]
    assert roles(installation) == {BOB: "viewer"}


@pytest.mark.parametrize("scope", ["client", "server", "report"])
def test_only_admin_keys_may(client: FlaskClient, keys: dict[str, str], scope: str) -> None:
    headers = bearer(keys[scope])
    assert client.get("/v1/users", headers=headers).status_code == 403
    assert client.post("/v1/users/role", json={"email": BOB, "role": "admin"}, headers=headers).status_code == 403


def test_editors_may_not(app: Flask, installation: Installation) -> None:
    editor = logged_in(app, installation, "editor")
    assert editor.open("/people").status_code == 403
    assert editor.send("/people", on="/", email="editor@shop.example", role="admin").status_code == 403
    assert roles(installation) == {"editor@shop.example": "editor"}


def test_the_command_line_changes_a_role(run: Run) -> None:
    assert run("init").status == 0
    for name, role in (("ann", "admin"), ("bob", "viewer")):
        email, password = f"{name}@shop.example", "a long enough password"
        assert run("user", "create", email, "--role", role, "--password-stdin", stdin=password).status == 0
    assert run("user", "role", "bob@shop.example", "editor").out == "bob@shop.example: editor\n"
    assert "bob@shop.example  editor" in run("user", "list").out
    refused = run("user", "role", "ann@shop.example", "viewer")
    assert (refused.status, refused.out) == (1, "") and "the only admin" in refused.err
    assert run("user", "role", "ann@shop.example", "king").status == 2
