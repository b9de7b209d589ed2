"""Acting by pages: asked once, done by whoever may, and told in both logs with who and why."""

import html
import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from experiments.acts import ACTS
from experiments.acts import AnyAct
from experiments.acts import do
from experiments.audit import Selection
from experiments.audit import audit_of
from experiments.ledger import Decision
from experiments.ledger import ledger_of
from experiments.lifecycle import create
from experiments.lifecycle import find
from experiments.lifecycle import is_frozen
from experiments.verification import verify
from service.installation import Installation
from tests.experiments.documents import spring_mailing
from tests.experiments.house import bar
from tests.service.conftest import DEED
from tests.service.conftest import bearer
from tests.service.conftest import count_rows
from tests.service.people import Someone
from tests.service.people import logged_in

KEY = "spring-mailing"
PLACE = f"/experiments/{KEY}/actions"
#: What must be done before each act is open.
WAYS: dict[AnyAct, tuple[AnyAct, ...]] = {
    "start": (), "pause": ("start",), "resume": ("start", "pause"), "stop": ("start",), "archive": ("start", "stop"),
    "freeze": ("start",), "unfreeze": ("start", "freeze"), "finish": ("start",),
    "unbar": ("start",),
}


@pytest.fixture(name="draft", autouse=True)
def _draft(installation: Installation) -> None:
    create(installation.store, spring_mailing(), deed=DEED)


def prepare(installation: Installation, *names: AnyAct) -> None:
    for name in names:
        do(installation.store, KEY, name, deed=DEED)


def standing(installation: Installation) -> tuple[str, bool]:
    return installation.store.read(lambda session: (find(session, KEY).state, is_frozen(session, KEY)))


def ledger(installation: Installation) -> list[Decision]:
    return installation.store.read(lambda session: ledger_of(session, KEY))


def confirmed(someone: Someone) -> str:
    found = re.search(r'name="confirmed" value="([^"]*)"', someone.open(f"{PLACE}/finish").text)
    assert found
    return html.unescape(found[1])


@pytest.mark.parametrize("name", ACTS)
def test_an_editor_does_it_after_one_question_and_both_logs_say_who_and_why(
    app: Flask, installation: Installation, name: AnyAct
) -> None:
    prepare(installation, *WAYS[name])
    if name == "unbar":
        bar(installation.store, KEY, arm="womens-letter", metric="unsubscribe", now_ms=DEED.now_ms)
    editor, before = logged_in(app, installation, "editor"), count_rows(installation, "ledger")
    offered = editor.open(PLACE).text
    assert f'href="{PLACE}/{name}"' in offered
    fields = {"confirmed": confirmed(editor)} if name == "finish" else {}
    assert count_rows(installation, "ledger") == before
    done = editor.send(f"{PLACE}/{name}", on=f"{PLACE}/{name}", reason="Because it rains.", **fields)
    assert (done.status_code, done.location) == (303, PLACE)
    row = ledger(installation)[-1]
    assert (row["act"], row["actor"], row["reason"]) == (name, "editor@shop.example", "Because it rains.")
    (audit,) = audit_of(installation.store, Selection(None, KEY, None, 1)).rows
    assert (audit["action"], audit["actor"]) == (f"experiment {name}", "editor@shop.example")
    assert audit["details"]["reason"] == "Because it rains."
    assert "Because it rains." in editor.open(PLACE).text
    assert verify(installation.store) == []


@pytest.mark.parametrize("name", ACTS)
def test_a_viewer_is_neither_asked_nor_heard(app: Flask, installation: Installation, name: AnyAct) -> None:
    prepare(installation, *WAYS[name])
    viewer, before = logged_in(app, installation, "viewer"), standing(installation)
    assert viewer.open(PLACE).status_code == viewer.open(f"{PLACE}/{name}").status_code == 403
    refused = viewer.send(f"{PLACE}/{name}", on="/", reason="Because I can.")
    assert (refused.status_code, "it takes the role editor" in refused.text) == (403, True)
    assert standing(installation) == before
    assert "/actions" not in viewer.open("/").text


@pytest.mark.parametrize("reason", ["", "   ", "a\nb", "x" * 501])
def test_without_a_reason_nothing_is_done_and_the_form_says_why(
    app: Flask, installation: Installation, reason: str
) -> None:
    prepare(installation, "start")
    editor = logged_in(app, installation, "editor")
    again = editor.send(f"{PLACE}/pause", on=f"{PLACE}/pause", reason=reason)
    assert again.status_code == 422
    assert 'role="alert"' in again.text and "Reason: " in again.text and 'aria-invalid="true"' in again.text
    assert standing(installation) == ("running", False)


def test_only_a_start_needs_no_reason(app: Flask, installation: Installation) -> None:
    editor = logged_in(app, installation, "editor")
    assert editor.send(f"{PLACE}/start", on=f"{PLACE}/start", reason="").status_code == 303
    assert ledger(installation)[-1]["reason"] == "started"


@pytest.mark.parametrize("sent", ["{}", "", "[", '{"everyone-else": 5}', "null"])
def test_the_winner_is_sent_only_as_it_was_shown(app: Flask, installation: Installation, sent: str) -> None:
    prepare(installation, "start")
    editor = logged_in(app, installation, "editor")
    refused = editor.send(f"{PLACE}/finish", on=f"{PLACE}/finish", reason="Now.", confirmed=sent)
    assert refused.status_code == 409
    assert "the verdict has changed since it was shown; look at it again" in refused.text
    assert 'value="Now."' in refused.text
    assert standing(installation) == ("running", False)


@pytest.mark.parametrize(("done", "name"), [(("start", "freeze"), "freeze"), (("start",), "unfreeze"), ((), "pause")])
def test_what_is_not_open_is_refused_with_a_page(
    app: Flask, installation: Installation, done: tuple[AnyAct, ...], name: AnyAct
) -> None:
    prepare(installation, *done)
    editor, before = logged_in(app, installation, "editor"), standing(installation)
    for answer in (editor.open(f"{PLACE}/{name}"), editor.send(f"{PLACE}/{name}", on="/", reason="Why not?")):
        assert answer.status_code == 409
        assert "This cannot be done now" in answer.text
    assert f"{PLACE}/{name}" not in editor.open(PLACE).text
    assert standing(installation) == before


@pytest.mark.parametrize(
    "path", ["/experiments/nobody/actions", "/experiments/nobody/actions/stop", f"{PLACE}/explode"]
)
def test_what_is_not_there_is_not_found(app: Flask, installation: Installation, path: str) -> None:
    assert logged_in(app, installation, "editor").open(path).status_code == 404


def test_the_next_request_sees_it_so_too(
    app: Flask, client: FlaskClient, keys: dict[str, str], installation: Installation
) -> None:
    prepare(installation, "start")
    installation.snapshots.refresh()
    editor = logged_in(app, installation, "editor")
    editor.send(f"{PLACE}/finish", on=f"{PLACE}/finish", reason="Now.", confirmed=confirmed(editor))
    body: dict[str, Any] = {"context": {"targetingKey": "ann", "womens": False}}
    answer = client.post(f"/ofrep/v1/evaluate/flags/{KEY}", json=body, headers=bearer(keys["client"])).json
    assert (answer["variant"], answer["metadata"]["propensity"]) == ("one-letter", 0.9999)
