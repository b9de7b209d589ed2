"""The set-up over HTTP: who may, what is kept, what becomes the document and what is refused."""

import json
import re
from typing import Any
from urllib.parse import unquote

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from experiments.audit import Deed
from experiments.audit import Selection
from experiments.audit import audit_of
from experiments.lifecycle import act
from experiments.lifecycle import apply_document
from experiments.lifecycle import create
from experiments.lifecycle import find
from experiments.people import remove_user
from service.installation import Installation
from service.preflight.page import SIMULATING
from service.setup.form import sheet_of
from service.setup.names import texts_of
from service.setup.state import STEPS
from tests.experiments.documents import at_home
from tests.experiments.documents import spring_mailing
from tests.service.conftest import DEED
from tests.service.conftest import NOW_MS
from tests.service.conftest import count_rows
from tests.service.people import Someone
from tests.service.people import logged_in

EDIT = "/experiments/spring-mailing/edit"
_BASE = re.compile(r'name="base" value="(\w*)"')


@pytest.fixture(name="ann")
def _ann(app: Flask, installation: Installation) -> Someone:
    return logged_in(app, installation, "editor")


@pytest.fixture(name="draft")
def _draft(installation: Installation) -> dict[str, Any]:
    document = spring_mailing()
    create(installation.store, document, deed=DEED)
    return document


def stored(installation: Installation, key: str = "spring-mailing") -> dict[str, Any]:
    return dict(installation.store.read(lambda session: find(session, key)).document)


def texts(document: dict[str, Any], step: str, **changes: str) -> dict[str, str]:
    """What a browser sends of a step that shows the document, but for changes (`__` stands for a full stop)."""
    shown = {name: text for name, text in texts_of(sheet_of(document))
             if re.split(r"[.\[]", name)[0] in STEPS[step]}
    return {**shown, **{name.replace("__", "."): text for name, text in changes.items()}}


def send(who: Someone, address: str, step: str, fields: dict[str, str], do: str = "save") -> TestResponse:
    """Open a step and send it."""
    where = f"{address}?step={step}"
    base = _BASE.search(who.open(where).text)
    assert base
    return who.send(where, on=where, **{"do": do, "base": base[1], **fields})


def test_a_document_is_made_by_the_form_alone(ann: Someone, installation: Installation) -> None:
    wanted, address = at_home(), "/new"
    for step in STEPS:
        answer = send(ann, address, step, texts(wanted, step))
        assert answer.status_code == 303, answer.text
        address = answer.location.partition("?")[0]
    assert address == "/experiments/at-home/edit"
    assert stored(installation, "at-home") == wanted
    rows = audit_of(installation.store, Selection("editor@shop.example", "at-home", None, 9)).rows
    assert [row["action"] for row in rows] == ["experiment replace", "experiment create"]


def test_what_cannot_work_yet_is_kept_as_a_draft_and_said_beside_its_field(
    ann: Someone, installation: Installation
) -> None:
    answer = send(ann, "/new", "basics", {"name": "Spring", "audience": "many", "objective": "profit"})
    assert answer.status_code == 422
    assert '<a href="#audience">Audience: &#39;many&#39; must be a number</a>' in answer.text
    assert 'aria-invalid="true" aria-describedby="audience-hint audience-fault"' in answer.text
    assert "<title>Error: " in answer.text
    again = ann.open("/new").text
    assert 'value="many"' in again and 'value="spring"' in again and "aria-invalid" not in again
    assert count_rows(installation, "experiments") == 0


def test_what_a_later_step_settles_holds_nobody_up(ann: Someone) -> None:
    fields = {"name": "Spring", "objective": "profit", "currency": "EUR"}
    for step in ("segments", "messages", "metrics"):
        ann.open(f"/new?step={step}")
    metric = {"metrics[0].event": "Order", "metrics[0].kind": "conversion", "metrics[0].role": "goal"}
    assert send(ann, "/new", "metrics", metric).status_code == 303
    answer = send(ann, "/new", "basics", fields)
    assert (answer.status_code, answer.location) == (303, "/new?step=segments")
    assert "Objective: &#39;profit&#39; needs a goal" in ann.open("/new?step=check").text


def test_a_draft_is_ones_own_and_goes_with_its_owner(
    app: Flask, ann: Someone, draft: dict[str, Any], installation: Installation
) -> None:
    send(ann, EDIT, "basics", texts(draft, "basics", name=" "))
    other = logged_in(app, installation, "admin")
    assert "kept as your draft" in ann.open(EDIT).text and "kept as your draft" not in other.open(EDIT).text
    remove_user(installation.store, "editor@shop.example", deed=DEED)
    assert count_rows(installation, "drafts") == 0
    assert stored(installation) == draft


def test_a_draft_can_be_thrown_away(ann: Someone, draft: dict[str, Any], installation: Installation) -> None:
    send(ann, EDIT, "basics", texts(draft, "basics", currency="Euro"))
    assert 'value="Euro"' in ann.open(EDIT).text
    assert send(ann, EDIT, "basics", {}, do="discard").status_code == 303
    assert 'value="EUR"' in ann.open(EDIT).text
    assert count_rows(installation, "drafts") == 0


def test_saving_without_a_change_leaves_no_trace(
    ann: Someone, draft: dict[str, Any], installation: Installation
) -> None:
    before = count_rows(installation, "audit")
    for step in STEPS:
        assert send(ann, EDIT, step, texts(draft, step)).status_code == 303
    assert (stored(installation), count_rows(installation, "audit")) == (draft, before)
    assert "kept as your draft" not in ann.open(EDIT).text


def test_a_key_that_is_taken_is_said_at_the_key(ann: Someone, draft: dict[str, Any]) -> None:
    for step in ("segments", "messages", "metrics", "policy"):
        send(ann, "/new", step, texts(draft, step))
    for step, fields in (("basics", texts(draft, "basics")), ("policy", texts(draft, "policy")), ("check", {})):
        answer = send(ann, "/new", step, fields)
        assert answer.status_code == 422 and "<h1>The campaign</h1>" in answer.text
    assert '<a href="#key">Key: &#39;spring-mailing&#39; is the key of another experiment</a>' in answer.text


def test_rows_come_and_go_without_a_script_and_what_was_typed_stays(ann: Someone, draft: dict[str, Any]) -> None:
    answer = send(ann, EDIT, "segments", texts(draft, "segments", **{"segments[0].name": "Typed"}), do="add segments")
    assert unquote(answer.location) == f"{EDIT}?step=segments&at=segments[1]#segments[1]"
    page = ann.open(answer.location.partition("#")[0]).text
    assert 'value="Typed"' in page and 'id="segments[1].name"' in page
    send(ann, EDIT, "segments", {"segments[1].name": "Second", "segments[4].name": "Fifth"}, do="remove segments[0]")
    page = ann.open(f"{EDIT}?step=segments").text
    assert 'id="segments[0].name" name="segments[0].name" value="Fifth"' in page and 'id="segments[1]' not in page


def test_two_editors_do_not_overwrite_each_other_unawares(
    ann: Someone, draft: dict[str, Any], installation: Installation
) -> None:
    base = _BASE.search(ann.open(EDIT).text)
    apply_document(installation.store, {**draft, "audience": 1}, deed=Deed("bob", NOW_MS))
    pressed = {"do": "add metrics", "base": base[1] if base else "", **texts(draft, "metrics")}
    assert ann.send(f"{EDIT}?step=metrics", on=EDIT, **pressed).status_code == 303
    assert base and base[1] in ann.open(EDIT).text
    for step in STEPS:
        fields = {"do": "save", "base": base[1] if base else "", **texts(draft, step, name="Mine")}
        answer = ann.send(f"{EDIT}?step={step}", on=EDIT, **fields)
        assert answer.status_code == 422 and "Somebody has changed the experiment" in answer.text
        assert stored(installation)["audience"] == 1
    assert send(ann, EDIT, "basics", texts(draft, "basics", name="Mine")).status_code == 303
    assert stored(installation) == {**draft, "name": "Mine"}


def test_of_a_running_experiment_only_what_may_change_changes_and_only_when_applied(
    ann: Someone, draft: dict[str, Any], installation: Installation
) -> None:
    act(installation.store, "spring-mailing", "start", deed=DEED)
    page = ann.open(f"{EDIT}?step=metrics").text
    assert "is frozen" in page and page.count("disabled") > 20
    assert "Add a metric" not in page and "Add a message" in ann.open(f"{EDIT}?step=messages").text
    sent = texts(draft, "basics", name="Another", currency="USD", key="other", objective="profit")
    assert send(ann, EDIT, "basics", sent).status_code == 303
    assert send(ann, EDIT, "metrics", {"metrics[0].event": "Other", "metrics[7].event": "New"}).status_code == 303
    assert send(ann, EDIT, "segments", {"segments[0].name": "Women", "segments[0].key": "x"}).status_code == 303
    assert stored(installation) == draft
    assert "Your changes fit together" in ann.open(f"{EDIT}?step=check").text
    assert send(ann, EDIT, "check", {}, do="apply").status_code == 303
    segment = {**draft["segments"][0], "name": "Women"}
    # The day of review was not sent, so it was left blank.
    del segment["review_by"]
    assert stored(installation) == {**draft, "name": "Another", "segments": [segment]}


def test_an_experiment_that_has_ended_is_shown_and_refuses(
    ann: Someone, draft: dict[str, Any], installation: Installation
) -> None:
    for name in ("start", "stop"):
        act(installation.store, "spring-mailing", name, deed=DEED)
    for step in STEPS:
        page = ann.open(f"{EDIT}?step={step}").text
        assert "stopped: nothing of it changes" in page and "Save and continue</button>\n      " not in page
    answer = ann.send(EDIT, on=EDIT, do="save", name="x")
    assert answer.status_code == 409 and "no longer changes" in answer.text
    assert stored(installation) == draft


def test_json_fills_in_the_form_and_is_kept_as_typed_where_it_is_none(
    ann: Someone, draft: dict[str, Any], installation: Installation
) -> None:
    answer = send(ann, EDIT, "check", {"document": '{"key": '}, do="paste")
    assert answer.status_code == 422 and "not JSON" in answer.text and "{&#34;key&#34;: </textarea>" in answer.text
    for text in ("[]", "", "{" * 100):
        assert send(ann, EDIT, "check", {"document": text}, do="paste").status_code == 422
    wanted = {**at_home(), "key": "spring-mailing"}
    assert send(ann, EDIT, "check", {"document": json.dumps(wanted)}, do="paste").status_code == 303
    assert stored(installation) == wanted
    page = ann.open("/experiments/spring-mailing/document").text
    assert "&#34;secret-lapsed&#34;" in page and "Change it by the form" in page


def test_a_rule_that_rows_cannot_say_stays_json_and_says_so(
    ann: Someone, draft: dict[str, Any], installation: Installation
) -> None:
    rule = {"$not": {"womens": True}}
    segment = {**draft["segments"][0], "rule": rule}
    apply_document(installation.store, {**draft, "segments": [segment]}, deed=DEED)
    page = ann.open(f"{EDIT}?step=segments").text
    assert "It says more than rows can" in page and "&#34;$not&#34;" in page
    assert send(ann, EDIT, "segments", texts({**draft, "segments": [segment]}, "segments")).status_code == 303
    assert stored(installation)["segments"][0]["rule"] == rule


def test_the_preview_writes_what_is_being_typed_and_keeps_nothing(
    ann: Someone, draft: dict[str, Any], installation: Installation
) -> None:
    fields = texts(draft, "messages", **{"arms[1].message[1].value": "Dear {{ first_name }}<script>alert(1)</script>"})
    sample = {"experiment": "spring-mailing", "sample[0].name": "first_name", "sample[0].value": "Ann"}
    answer = ann.send("/preview", on=EDIT, **fields, **sample)
    assert "Dear Ann&lt;script&gt;" in answer.text and "<script>alert" not in answer.text
    assert count_rows(installation, "drafts") == 0
    send(ann, EDIT, "messages", {**texts(draft, "messages"), **sample}, do="preview")
    assert "Hello Ann" in ann.open(f"{EDIT}?step=messages").text


@pytest.mark.parametrize("path", ["/new", EDIT, "/experiments/spring-mailing/preflight"])
def test_viewers_are_refused(app: Flask, draft: dict[str, Any], installation: Installation, path: str) -> None:
    viewer = logged_in(app, installation, "viewer")
    assert viewer.open(path).status_code == 403
    assert viewer.send(path, on="/", do="save", name="x").status_code == 403
    assert viewer.send("/preview", on="/").status_code == 403
    assert "Change it by the form" not in viewer.open("/experiments/spring-mailing/document").text
    assert stored(installation) == draft


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/experiments/nobody/edit", 404), ("GET", "/experiments/nobody/document", 404),
    ("GET", "/experiments/nobody/preflight", 404), ("GET", f"{EDIT}?step=dessert", 400),
    ("POST", f"{EDIT}?step=dessert", 400), ("POST", "/experiments/nobody/edit", 404),
    ("POST", "/experiments/nobody/preflight", 404),
])
def test_what_is_not_there_is_refused(
    ann: Someone, draft: dict[str, Any], method: str, path: str, status: int
) -> None:
    answer = ann.open(path) if method == "GET" else ann.send(path, on=EDIT)
    assert answer.status_code == status


@pytest.mark.parametrize("fields", [
    {"do": "burn arms[0]"}, {"do": "remove arms[99]"}, {"do": "add \x00"}, {"do": ""},
])
def test_a_button_that_is_none_is_refused(ann: Someone, draft: dict[str, Any], fields: dict[str, str]) -> None:
    answer = ann.send(f"{EDIT}?step=messages", on=EDIT, **fields)
    assert answer.status_code == 400 and "is no button of this form" in answer.text


def test_shares_of_segments_stand_where_the_experiment_has_run(
    ann: Someone, draft: dict[str, Any], installation: Installation
) -> None:
    assert "Of visitors" not in ann.open(f"{EDIT}?step=segments").text
    day = NOW_MS // 86_400_000

    def reached(session: Any) -> None:
        visitors_by_day = (("womens-shoppers", 1, 60), ("everyone-else", 2, 140), ("everyone-else", 40, 500))
        for segment, age, visitors in visitors_by_day:
            session.connection.execute(
                "INSERT INTO cells (experiment, epoch, day, segment, arm, asserted, metric, n, sum, sum2)"
                " VALUES ('spring-mailing', 1, ?, ?, 'one-letter', 0, '$exposures', ?, 0, 0)",
                (day - age, segment, visitors),
            )

    installation.store.transact(reached)
    page = ann.open(f"{EDIT}?step=segments").text
    assert "30% of visitors" in page and "Everyone else: 70% of visitors" in page and "200 visitors" in page


def test_the_pre_flight_says_how_long_how_sure_and_what_it_costs_and_starts(
    ann: Someone, draft: dict[str, Any], installation: Installation
) -> None:
    address = "/experiments/spring-mailing/preflight"
    assert "This takes some seconds" in ann.open(address).text
    page = ann.open(f"{address}?days=20&visitors_per_day=500&rate=5&uplift=20&delay=&consent=100").text
    for words in ("How long does it take?", "How sure is it?", "€550.00 to make the messages", "Is found from",
                  "Thompson sampling, as set up"):
        assert words in page
    answer = ann.send(address, on=address)
    assert (answer.status_code, answer.location) == (303, "/experiments/spring-mailing")
    assert installation.store.read(lambda session: find(session, "spring-mailing")).state == "running"
    row = installation.store.read(lambda session: session.audit.last())
    assert row is not None and (row.actor, row.action) == ("editor@shop.example", "experiment start")
    assert ann.send(address, on=EDIT).status_code == 409
    assert "Start the campaign" not in ann.open(address).text


def test_the_pre_flight_says_where_a_bandit_is_not_worth_it(ann: Someone, draft: dict[str, Any]) -> None:
    page = ann.open("/experiments/spring-mailing/preflight?days=5&visitors_per_day=20&rate=1&uplift=5&delay=20d").text
    assert "Do not use a bandit here" in page


@pytest.mark.parametrize(("query", "field"), [
    ("days=0", "days"), ("days=x", "days"), ("days=9999999999999999999999", "days"),
    ("days=3&visitors_per_day=-1", "visitors_per_day"), ("days=3&delay=soon", "delay"),
    ("days=3&rate=200", "rate"), ("days=3&uplift=lots", "uplift"), ("days=3&consent=101", "consent"),
    ("days=3&rate=99&uplift=50", "rate"),
])
def test_assumptions_that_cannot_be_are_said_beside_their_field(
    ann: Someone, draft: dict[str, Any], query: str, field: str
) -> None:
    answer = ann.open(f"/experiments/spring-mailing/preflight?{query}")
    assert answer.status_code == 422 and f'id="{field}-fault"' in answer.text


def test_one_pre_flight_at_a_time(ann: Someone, draft: dict[str, Any]) -> None:
    with SIMULATING:
        answer = ann.open("/experiments/spring-mailing/preflight?days=3")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert ann.open("/experiments/spring-mailing/preflight?days=3").status_code == 200


@pytest.mark.parametrize("key", ["new", "preview", "edit", "document", "actions", "charts", "...", "-", "_"])
def test_every_key_has_its_page(app: Flask, ann: Someone, installation: Installation, key: str) -> None:
    create(installation.store, spring_mailing(key=key, name=f"Called {key}"), deed=DEED)
    act(installation.store, key, "start", deed=DEED)
    for page in ("", "/edit", "/document", "/ledger", "/actions", "/preflight"):
        answer = ann.open(f"/experiments/{key}{page}")
        assert answer.status_code == 200 and f"Called {key}" in answer.text, page


def test_the_address_of_a_new_experiment_leads_to_its_form_while_no_experiment_has_that_name(
    app: Flask, ann: Someone
) -> None:
    assert ann.open("/experiments/new").location == "/new"
    stranger = Someone(app).open("/experiments/new")
    assert (stranger.status_code, stranger.location) == (303, "/login?next=/experiments/new")
