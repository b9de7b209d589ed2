from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from service.installation import Installation
from tests.experiments.documents import tiny
from tests.service.conftest import SetClock
from tests.service.conftest import bearer
from tests.service.conftest import count_rows

PATH = "/ofrep/v1/evaluate/flags"
DAY = 86_400


class Page:
    """A page that asks for everything at once."""

    def __init__(self, client: FlaskClient, keys: dict[str, str]) -> None:
        self.client = client
        self.keys = keys

    def ask(self, context: Any, *, query: str = "", **headers: str) -> TestResponse:
        """The response to an evaluation of everything."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(
            PATH + query, json={"context": context}, headers={**bearer(self.keys["client"]), **named}
        )

    def flags(self, visitor: str, **context: Any) -> dict[str, Any]:
        """The items of an evaluation that goes well, by their keys."""
        response = self.ask({"targetingKey": visitor, **context})
        assert response.status_code == 200, response.json
        return {item["key"]: item for item in response.json["flags"]}

    def create(self, document: dict[str, Any], *acts: str) -> None:
        """Create an experiment and take it through these acts."""
        headers = bearer(self.keys["admin"])
        assert self.client.post("/v1/experiments", json=document, headers=headers).status_code == 201
        for act in acts:
            self.act(document["key"], act)

    def act(self, key: str, name: str) -> None:
        """Take an experiment to its next state."""
        response = self.client.post(f"/v1/experiments/{key}/{name}", headers=bearer(self.keys["admin"]))
        assert response.status_code == 200, response.json


@pytest.fixture(name="page")
def _page(client: FlaskClient, keys: dict[str, str], running: dict[str, Any]) -> Page:
    return Page(client, keys)


def single(page: Page, key: str, context: Any) -> Any:
    """The body of the answer to an evaluation of one experiment."""
    return page.client.post(f"{PATH}/{key}", json={"context": context}, headers=bearer(page.keys["client"])).json


def test_every_experiment_that_answers_is_there_and_no_other(page: Page) -> None:
    page.create(tiny(key="draft"))
    page.create(tiny(key="paused"), "start", "pause")
    page.create(tiny(key="stopped"), "start", "stop")
    page.create(tiny(key="archived"), "start", "stop", "archive")
    flags = page.flags("u1")
    assert set(flags) == {"spring-mailing", "paused", "stopped"}
    assert {key: item["reason"] for key, item in flags.items()} == {
        "spring-mailing": "SPLIT", "paused": "DISABLED", "stopped": "DISABLED",
    }


def test_without_any_experiment_there_are_no_flags(client: FlaskClient, keys: dict[str, str]) -> None:
    response = Page(client, keys).ask({"targetingKey": "u1"})
    assert response.json == {"flags": []}
    assert response.headers["ETag"]


values = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.text(max_size=3)


@settings(
    max_examples=100, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    visitor=st.text("abc\x00", min_size=1, max_size=3),
    attributes=st.dictionaries(st.sampled_from(["womens", "recency", "zip_code", "first_name"]), values),
    said=st.fixed_dictionaries({}, optional={
        "consent": st.sampled_from(["none", "measure", "personalise", "perhaps"]), "gpc": st.booleans(),
    }),
)
def test_each_is_evaluated_as_it_would_be_alone(
    page: Page, visitor: str, attributes: dict[str, Any], said: dict[str, Any]
) -> None:
    if "tiny" not in page.flags("u1"):
        page.create(tiny(), "start")
    context = {**attributes, **said, "targetingKey": visitor}
    response = page.ask(context)
    alone = {key: single(page, key, context) for key in ("spring-mailing", "tiny")}
    if response.status_code == 200:
        assert {item["key"]: item for item in response.json["flags"]} == alone
    else:
        assert response.status_code == 400
        assert {(body["errorCode"], body["errorDetails"]) for body in alone.values()} == {
            (response.json["errorCode"], response.json["errorDetails"])
        }


def test_what_one_experiment_cannot_use_is_its_own_failure(page: Page) -> None:
    page.create(tiny(), "start")
    flags = page.flags("u1", womens="yes")
    failed = flags["spring-mailing"]
    assert failed.keys() == {"key", "errorCode", "errorDetails"}
    assert failed["errorCode"] == "INVALID_CONTEXT"
    assert "'yes'" in failed["errorDetails"]
    assert flags["tiny"]["reason"] == "SPLIT"


@pytest.mark.parametrize(
    ("context", "code"),
    [
        ({}, "TARGETING_KEY_MISSING"),
        ({"targetingKey": ""}, "TARGETING_KEY_MISSING"),
        ({"targetingKey": 7}, "INVALID_CONTEXT"),
        ({"targetingKey": "u1", "consent": "yes"}, "INVALID_CONTEXT"),
        ({"targetingKey": "u1", "gpc": "perhaps"}, "INVALID_CONTEXT"),
        (None, "INVALID_CONTEXT"),
        ([], "INVALID_CONTEXT"),
    ],
)
def test_what_makes_the_whole_request_wrong_is_refused_without_a_key(page: Page, context: Any, code: str) -> None:
    response = page.ask(context)
    assert response.status_code == 400
    assert response.json.keys() == {"errorCode", "errorDetails"}
    assert response.json["errorCode"] == code


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"[null,null]", b'{"context": NaN}', b'{"context": "\\ud800"}'])
def test_a_body_that_cannot_be_read_is_a_parse_error_without_a_key(
    client: FlaskClient, keys: dict[str, str], data: bytes
) -> None:
    response = client.post(PATH, data=data, content_type="application/json", headers=bearer(keys["client"]))
    assert response.status_code == 400
    assert response.json.keys() == {"errorCode", "errorDetails"}
    assert response.json["errorCode"] == "PARSE_ERROR"


def test_without_a_key_that_may_there_is_no_body(client: FlaskClient, keys: dict[str, str]) -> None:
    unknown = client.post(PATH, json={})
    forbidden = client.post(PATH, json={}, headers=bearer(keys["report"]))
    assert (unknown.status_code, unknown.data) == (401, b"")
    assert (forbidden.status_code, forbidden.data) == (403, b"")


def test_an_answer_that_the_client_has_is_304_with_its_tag_and_nothing_else(page: Page) -> None:
    first = page.ask({"targetingKey": "u1", "womens": True})
    tag = first.headers["ETag"]
    again = page.ask({"targetingKey": "u1", "womens": True}, If_None_Match=tag)
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    assert "Content-Type" not in again.headers
    assert tag.startswith('"') and tag.endswith('"')


@pytest.mark.parametrize("form", ['{tag}', 'W/{tag}', '"other", {tag}', 'W/"x",W/{tag} , "y"', "*", "{bare}"])
def test_every_form_of_a_tag_is_known_again(page: Page, form: str) -> None:
    tag = page.ask({"targetingKey": "u1"}).headers["ETag"]
    sent = form.format(tag=tag, bare=tag.strip('"'))
    assert page.ask({"targetingKey": "u1"}, If_None_Match=sent).status_code == 304


@pytest.mark.parametrize("form", ["", '""', '"other"', "W/", ",", '"{bare}', "a" + " " * 5000 + "b"])
def test_what_is_no_tag_of_the_answer_gets_the_answer(page: Page, form: str) -> None:
    tag = page.ask({"targetingKey": "u1"}).headers["ETag"]
    response = page.ask({"targetingKey": "u1"}, If_None_Match=form.format(bare=tag.strip('"')[:-1]))
    assert response.status_code == 200


@pytest.mark.parametrize("context", [{"womens": True, "first_name": "Ada"}, {"consent": "none"}, {"gpc": True}])
def test_the_same_visitor_with_other_attributes_or_consent_gets_another_tag(
    page: Page, context: dict[str, Any]
) -> None:
    tag = page.ask({"targetingKey": "u1"}).headers["ETag"]
    assert page.ask({"targetingKey": "u1", **context}, If_None_Match=tag).status_code == 200


def test_a_pause_and_a_new_epoch_change_the_tag(page: Page, running: dict[str, Any]) -> None:
    context = {"targetingKey": "u1", "womens": True}
    tags = [page.ask(context).headers["ETag"]]
    policy = {"kind": "fixed", "shares": {"one-letter": 0.2, "womens-letter": 0.8}, "max_step": 1}
    changed = page.client.put(
        "/v1/experiments/spring-mailing", json={**running, "policy": policy}, headers=bearer(page.keys["admin"])
    )
    assert changed.status_code == 200, changed.json
    tags.append(page.ask(context).headers["ETag"])
    page.act("spring-mailing", "pause")
    tags.append(page.ask(context).headers["ETag"])
    assert len(set(tags)) == 3


def test_the_tag_lasts_for_a_day(page: Page, clock: SetClock) -> None:
    tag = page.ask({"targetingKey": "u1"}).headers["ETag"]
    clock.advance(seconds=3600)
    assert page.ask({"targetingKey": "u1"}, If_None_Match=tag).status_code == 304
    clock.advance(seconds=DAY)
    assert page.ask({"targetingKey": "u1"}, If_None_Match=tag).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "?flagConfigEtag=%22x%22", "?flagConfigLastModified=1771622898",
        "?flagConfigEtag=&flagConfigLastModified=2026-02-20T21%3A28%3A18Z&other=1",
    ],
)
def test_what_a_change_notice_adds_to_the_address_changes_nothing(page: Page, query: str) -> None:
    plain = page.ask({"targetingKey": "u1"})
    asked = page.ask({"targetingKey": "u1"}, query=query)
    assert (asked.status_code, asked.data, asked.headers["ETag"]) == (200, plain.data, plain.headers["ETag"])


@pytest.mark.parametrize("modified", ["", "yesterday", "-1", "2026-02-20", "1771622898.5"])
def test_a_moment_that_is_none_is_refused_by_name(page: Page, modified: str) -> None:
    response = page.ask({"targetingKey": "u1"}, query=f"?flagConfigLastModified={modified}")
    assert (response.status_code, response.json["errorCode"]) == (400, "GENERAL")
    assert "flagConfigLastModified" in response.json["errorDetails"]


def test_no_stream_of_changes_is_offered(page: Page) -> None:
    assert page.ask({"targetingKey": "u1"}).json.keys() == {"flags"}


def test_evaluating_everything_stores_nothing(page: Page, installation: Installation) -> None:
    for number in range(20):
        page.flags(f"u{number}", womens=True)
    for table in ("events", "exposures", "totals", "cells", "counters", "waiting"):
        assert count_rows(installation, table) == 0


def test_an_exposed_visitor_keeps_the_arm_and_others_do_not_know_it(page: Page) -> None:
    page.create(tiny(), "start")
    first = page.flags("u1", womens=True)["spring-mailing"]
    exposure = {
        "event": "Experiment Viewed",
        "userId": "u1",
        "properties": {"experiment_id": "spring-mailing", "token": first["metadata"]["token"]},
    }
    assert page.client.post("/v1/track", json=exposure, headers=bearer(page.keys["client"])).json["accepted"] == 1
    flags = page.flags("u1")
    assert flags["spring-mailing"]["metadata"]["segment"] == "womens-shoppers"
    assert {key: item["metadata"]["cause"] for key, item in flags.items()} == {
        "spring-mailing": "sticky", "tiny": "allocated",
    }


def test_a_float_in_a_message_stays_one(page: Page) -> None:
    message = {"large": 1e17, "rate": 1.0, "steps": [2.0, 0.5, {"deep": -3.0}], "whole": 1}
    arms = [{"key": "nothing", "role": "control"}, {"key": "off", "role": "mass", "message": message}]
    page.create(tiny(arms=arms), "start", "pause")
    written = b'"value":{"large":1e17,"rate":1.0,"steps":[2.0,0.5,{"deep":-3.0}],"whole":1}'
    body = {"context": {"targetingKey": "u1"}}
    for address in (PATH, f"{PATH}/tiny"):
        assert written in page.client.post(address, json=body, headers=bearer(page.keys["client"])).data
