"""A list of visitors assigned at once, over HTTP: each as if it were alone, exposed exactly once where asked for."""

import gzip
import json
from itertools import count
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from experiments.verification import verify
from service.installation import Installation
from tests.experiments.documents import spring_mailing
from tests.service.conftest import SetClock
from tests.service.conftest import bearer
from tests.service.conftest import count_rows
from tests.service.test_any_input import anything
from tests.service.test_any_input import perhaps
from tests.service.test_any_input import text

KEY = "spring-mailing"
NDJSON = "application/x-ndjson"
MB = 1024 * 1024


class Mailer:
    """Somebody who sends letters to lists."""

    def __init__(self, client: FlaskClient, keys: dict[str, str]) -> None:
        self.client = client
        self.headers = bearer(keys["server"])

    def post(self, body: Any, **headers: str) -> TestResponse:
        """The response to a list."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post("/v1/assignments", json=body, headers={**self.headers, **named})

    def lines(self, data: bytes, **query: str) -> TestResponse:
        """The response to a list with a visitor on each line."""
        return self.client.post(
            "/v1/assignments", data=data, query_string={"experiment": KEY, **query}, content_type=NDJSON,
            headers=self.headers,
        )

    def assigned(self, *visitors: Any, **members: Any) -> list[dict[str, Any]]:
        """The items of an answer that goes well."""
        response = self.post({"experiment": KEY, "visitors": visitors, **members})
        assert response.status_code == 200, response.json
        assert response.json["experiment"] == KEY
        items: list[dict[str, Any]] = response.json["assignments"]
        assert [item["index"] for item in items] == list(range(len(visitors)))
        return items


@pytest.fixture(name="mailer")
def _mailer(client: FlaskClient, keys: dict[str, str], running: dict[str, Any]) -> Mailer:
    return Mailer(client, keys)


@pytest.fixture(name="act")
def _act(client: FlaskClient, keys: dict[str, str]) -> Any:
    """Take the experiment through its states."""

    def act(name: str) -> None:
        assert client.post(f"/v1/experiments/{KEY}/{name}", headers=bearer(keys["admin"])).status_code == 200

    return act


def women(*ids: str, **members: Any) -> list[dict[str, Any]]:
    """Visitors of the segment."""
    return [{"id": id, "attributes": {"womens": True, "first_name": "Ada"}, **members} for id in ids]


def some(number: int) -> list[str]:
    return [f"u{index}" for index in range(number)]


def evaluated(client: FlaskClient, headers: dict[str, str], visitor: dict[str, Any]) -> dict[str, Any]:
    """What the visitor gets alone, in the shape of an item."""
    context = {**visitor.get("attributes", {}), "targetingKey": visitor["id"]}
    context |= {name: visitor[name] for name in ("consent", "token") if name in visitor}
    response = client.post(f"/ofrep/v1/evaluate/flags/{KEY}", json={"context": context}, headers=headers)
    assert response.status_code == 200, response.json
    body: dict[str, Any] = response.json
    alone = {"id": visitor["id"], "arm": body["variant"], "message": body["value"], "token": None}
    return alone | body["metadata"]


visitors = st.fixed_dictionaries(
    {"id": st.sampled_from(some(30)) | st.text(min_size=1, max_size=8).filter(lambda id: min(id) >= " ")},
    optional={
        "attributes": st.fixed_dictionaries(
            {}, optional={"womens": st.booleans(), "first_name": st.text(max_size=8), "recency": st.integers(0, 99)}
        ),
        "consent": st.sampled_from(["none", "measure", "personalise"]),
    },
)
#: What is not declared is dropped, plainly written or not.
UNKNOWN: list[dict[str, Any]] = [{}, {"unknown": 1}, {"unknown": [{}]}, {"time": "09:30"}]
#: Tells the people of one example from those of another.
RUNS = count()
alone_or_not = settings(
    max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@alone_or_not
@given(asked=st.lists(visitors, max_size=12), exposed=st.lists(st.sampled_from(some(30)), max_size=3))
def test_each_visitor_gets_what_it_would_get_alone(mailer: Mailer, asked: list[Any], exposed: list[str]) -> None:
    mailer.assigned(*women(*exposed), expose=True)
    items = mailer.assigned(*asked)
    alone = [evaluated(mailer.client, mailer.headers, visitor) for visitor in asked]
    assert [{name: item[name] for name in item if name != "index"} for item in items] == alone


@pytest.mark.parametrize("state", ["running", "paused", "stopped"])
def test_in_every_state_lines_get_what_each_would_get_alone(mailer: Mailer, act: Any, state: str) -> None:
    mailer.assigned(*women(*some(20)), expose=True)
    promised = {item["id"]: item["token"] for item in mailer.assigned(*women(*some(40)))}
    if state != "running":
        act({"paused": "pause", "stopped": "stop"}[state])
    asked = [
        {
            "id": id,
            "attributes": {"womens": number % 3 == 0, "first_name": f"Zoë \"{number}\"", **UNKNOWN[number % 4]},
            **({"token": promised[some(40)[number % 40]]} if number % 2 else {}),
            **({"consent": ("none", "measure", "personalise")[number % 7 % 3]} if number % 5 else {}),
        }
        for number, id in enumerate([*some(60), *some(30), 'quo"te', "back\\slash"])
    ]
    alone = [evaluated(mailer.client, mailer.headers, visitor) for visitor in asked]
    answered = read_lines(mailer.lines("\n".join(map(json.dumps, asked)).encode()))
    assert [{name: item[name] for name in item if name != "index"} for item in answered] == alone
    causes = {item["cause"] for item in answered}
    assert causes >= ({"allocated", "sticky", "no_consent"} if state == "running" else {"not_running", "no_consent"})


@alone_or_not
@given(asked=st.lists(visitors, max_size=12), again=st.lists(st.integers(0, 11), max_size=8))
def test_an_exposing_list_gives_each_what_one_call_after_another_gives(
    mailer: Mailer, asked: list[Any], again: list[int]
) -> None:
    # Other people in every example, of whom some stand in the list more than once.
    run = next(RUNS)
    people = [{**each, "id": f"{run}{each['id']}"} for each in (*asked, *(asked[n] for n in again if n < len(asked)))]
    before = [evaluated(mailer.client, mailer.headers, visitor) for visitor in people]
    items = mailer.assigned(*people, expose=True)
    first: dict[str, dict[str, Any]] = {}
    for visitor, item, alone in zip(people, items, before, strict=True):
        if visitor["id"] in first and alone["cause"] != "no_consent":
            kept = first[visitor["id"]]
            assert item["exposure"] == "duplicate"
            if item["cause"] == "sticky":
                assert (item["arm"], item["segment"], item["epoch"]) == (kept["arm"], kept["segment"], kept["epoch"])
            continue
        assert {name: item[name] for name in alone} == alone
        assert item["exposure"] == ("ignored" if alone["cause"] == "no_consent" else "accepted")
        if alone["cause"] == "allocated":
            first[visitor["id"]] = item


def test_ten_thousand_are_answered_in_order(mailer: Mailer, installation: Installation) -> None:
    items = mailer.assigned(*women(*some(10_000)))
    assert [item["id"] for item in items] == some(10_000)
    shares = {arm: sum(item["arm"] == arm for item in items) / 10_000 for arm in ("nothing", "womens-letter")}
    # Four standard deviations of the widest share.
    assert shares["nothing"] == pytest.approx(0.1, abs=0.02)
    assert shares["womens-letter"] == pytest.approx(0.45, abs=0.02)
    assert count_rows(installation, "events") == 0


def test_one_more_is_too_many_and_nobody_is_exposed(mailer: Mailer, installation: Installation) -> None:
    response = mailer.post({"experiment": KEY, "visitors": women(*some(10_001)), "expose": True})
    assert (response.status_code, response.json["code"]) == (413, "too_many_visitors")
    response = mailer.lines(b'{"id": "u"}\n' * 10_001, expose="true")
    assert (response.status_code, response.json["code"]) == (413, "too_many_visitors")
    assert count_rows(installation, "events") == 0


def test_an_empty_list_is_answered_and_the_experiment_must_be_there_for_it(mailer: Mailer) -> None:
    assert mailer.assigned() == []
    assert mailer.lines(b"").data == b""
    assert mailer.post({"experiment": "nowhere", "visitors": []}).status_code == 404


def test_exposing_counts_each_visitor_once_however_often_it_is_asked(
    mailer: Mailer, installation: Installation
) -> None:
    first = mailer.assigned(*women(*some(600)), expose=True)
    again = mailer.assigned(*women(*some(600)), expose=True)
    assert {item["exposure"] for item in first} == {"accepted"}
    assert {item["exposure"] for item in again} == {"duplicate"}
    assert {item["cause"] for item in again} == {"sticky"}
    kept = ("arm", "segment", "propensity", "epoch", "message")
    assert [[item[name] for name in kept] for item in first] == [[item[name] for name in kept] for item in again]
    assert (count_rows(installation, "events"), count_rows(installation, "exposures")) == (600, 600)
    assert verify(installation.store) == []


def test_another_message_id_is_another_exposure_of_the_same_visitor(
    mailer: Mailer, installation: Installation, clock: SetClock
) -> None:
    for message_id in ("spring", "summer", "summer"):
        # By then the tokens are others.
        clock.advance(seconds=2 * 86_400)
        mailer.assigned(*women("ann"), expose=True, messageId=message_id)
    assert (count_rows(installation, "events"), count_rows(installation, "exposures")) == (2, 1)
    assert verify(installation.store) == []


def test_no_event_can_take_the_id_of_an_assigned_exposure(mailer: Mailer, installation: Installation) -> None:
    for id in (KEY, f"\\u0000{KEY}\\u0000", f" {KEY} "):
        event = {"type": "track", "event": "Order Completed", "userId": "ann", "messageId": id}
        assert mailer.client.post("/v1/track", json=event, headers=mailer.headers).status_code == 200
    assert [item["exposure"] for item in mailer.assigned(*women("ann"), expose=True)] == ["accepted"]


def test_the_report_counts_who_was_assigned_and_what_came_of_it(
    mailer: Mailer, client: FlaskClient, keys: dict[str, str]
) -> None:
    items = mailer.assigned(*women(*some(100)), expose=True)
    order = {"type": "track", "event": "Order Completed", "userId": "u0", "messageId": "o1"}
    assert client.post("/v1/track", json=order, headers=mailer.headers).json["accepted"] == 1
    report = client.get(f"/v1/experiments/{KEY}/report", headers=bearer(keys["report"])).json
    assert report is not None
    rows = {row["arm"]: row for row in report["totals"]}
    assert sum(row["visitors"] for row in rows.values()) == 100
    assert rows[items[0]["arm"]]["metrics"]["purchase"]["sum"] == 1
    assert report["diagnostics"]["asserted"] == 0


def test_a_visitor_who_stands_in_the_list_twice_is_exposed_to_one_arm(
    mailer: Mailer, installation: Installation
) -> None:
    for number in range(40):
        twice = [{"id": f"v{number}", "attributes": {"womens": womens}} for womens in (False, True)]
        first, second = mailer.assigned(*twice, expose=True)
        assert (first["arm"], first["segment"]) == (second["arm"], second["segment"])
        assert (first["exposure"], second["exposure"]) == ("accepted", "duplicate")
    assert count_rows(installation, "exposures") == 40


def test_who_was_exposed_by_an_event_is_sticky(mailer: Mailer, installation: Installation) -> None:
    [first] = mailer.assigned(*women("ann"))
    event = {
        "event": "Experiment Viewed", "userId": "ann",
        "properties": {"experiment_id": KEY, "token": first["token"]},
    }
    assert mailer.client.post("/v1/track", json=event, headers=mailer.headers).json["accepted"] == 1
    [again] = mailer.assigned({"id": "ann", "attributes": {"womens": False}})
    assert (again["arm"], again["segment"], again["cause"]) == (first["arm"], "womens-shoppers", "sticky")


def test_a_visitor_keeps_what_a_token_promised(mailer: Mailer, client: FlaskClient, keys: dict[str, str]) -> None:
    before = mailer.assigned(*women(*some(40)))
    policy = {"kind": "fixed", "shares": {"one-letter": 0.0001, "womens-letter": 0.9999}, "max_step": 1}
    document = spring_mailing(policy=policy)
    assert client.put(f"/v1/experiments/{KEY}", json=document, headers=bearer(keys["admin"])).status_code == 200
    kept = mailer.assigned(*(women(item["id"], token=item["token"])[0] for item in before), expose=True)
    assert [(item["arm"], item["epoch"]) for item in kept] == [(item["arm"], 1) for item in before]


@pytest.mark.parametrize(
    "visitor",
    [
        {"id": "ann", "consent": "none"},
        {"id": "ann", "consent": "none", "attributes": {"womens": True}},
        {"id": "ann", "attributes": {"consent": "none"}},
    ],
)
def test_who_does_not_consent_gets_the_mass_arm_and_is_not_counted(
    mailer: Mailer, installation: Installation, visitor: dict[str, Any]
) -> None:
    [item] = mailer.assigned(visitor, expose=True)
    assert (item["arm"], item["cause"], item["token"]) == ("one-letter", "no_consent", None)
    assert item["exposure"] == "ignored"
    assert count_rows(installation, "events") == 0


def test_who_consents_to_measuring_gets_nothing_tailored_and_is_counted(
    mailer: Mailer, installation: Installation
) -> None:
    items = mailer.assigned(*women(*some(40), consent="measure"), expose=True)
    assert {item["segment"] for item in items} == {"no-personalisation"}
    assert {item["arm"] for item in items} == {"nothing", "one-letter"}
    assert count_rows(installation, "exposures") == 40


def test_the_signal_against_tracking_holds_for_the_whole_list(mailer: Mailer, installation: Installation) -> None:
    body = {"experiment": KEY, "visitors": women(*some(5)), "expose": True}
    response = mailer.post(body, Sec_GPC="1")
    assert {item["cause"] for item in response.json["assignments"]} == {"no_consent"}
    assert count_rows(installation, "events") == 0


def test_paused_gives_the_mass_arm_and_counts_nobody_new(
    mailer: Mailer, installation: Installation, act: Any
) -> None:
    exposed = mailer.assigned(*women("ann"), expose=True)
    act("pause")
    [ann, bob] = mailer.assigned(*women("ann", "bob"), expose=True)
    assert (ann["arm"], ann["cause"], ann["exposure"]) == (exposed[0]["arm"], "not_running", "ignored")
    assert (bob["arm"], bob["cause"], bob["exposure"]) == ("one-letter", "not_running", "ignored")
    assert count_rows(installation, "events") == 1


def test_stopped_gives_the_final_allocation_and_archived_is_not_there(mailer: Mailer, act: Any) -> None:
    before = mailer.assigned(*women(*some(20)))
    act("stop")
    stopped = mailer.assigned(*women(*some(20)), expose=True)
    assert [item["arm"] for item in stopped] == [item["arm"] for item in before]
    assert {(item["cause"], item["exposure"]) for item in stopped} == {("not_running", "ignored")}
    act("archive")
    response = mailer.post({"experiment": KEY, "visitors": women("ann")})
    assert (response.status_code, response.json["code"]) == (404, "unknown_experiment")


@pytest.mark.parametrize(
    ("wrong", "saying"),
    [
        ({"id": "ann", "attributes": {"womens": "yes"}}, "'womens': 'yes' must be true or false"),
        ({"id": "ann", "attributes": {"recency": 2**70}}, "'recency'"),
        ({"id": "ann", "attributes": []}, "attributes: [] must be an object"),
        ({"id": "ann", "consent": "perhaps"}, "'perhaps' must be none, measure or personalise"),
        ({"id": "ann", "womens": True}, "'womens' is no member of a visitor"),
        ({"attributes": {}}, "id: None must be a string"),
        ({"id": ""}, "id: '' must be"),
        ({"id": 7}, "id: 7 must be"),
        ({"id": "a\0b"}, "control characters"),
        ({"id": "a" * 513}, "1 to 512 characters"),
        ("ann", "a visitor must be an object, not 'ann'"),
        (None, "a visitor must be an object, not None"),
    ],
)
def test_a_wrong_visitor_is_an_error_of_its_own(
    mailer: Mailer, installation: Installation, wrong: Any, saying: str
) -> None:
    before, item, after = mailer.assigned(*women("u1"), wrong, *women("u2"), expose=True)
    assert item["code"] == "INVALID_CONTEXT"
    assert saying in item["detail"]
    assert "arm" not in item
    assert (before["exposure"], after["exposure"]) == ("accepted", "accepted")
    assert count_rows(installation, "exposures") == 2


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"experiment": None}, 400, "invalid_experiment"),
        ({"experiment": 7}, 400, "invalid_experiment"),
        ({"experiment": "nowhere"}, 404, "unknown_experiment"),
        ({"visitors": None}, 400, "invalid_visitors"),
        ({"visitors": {"id": "ann"}}, 400, "invalid_visitors"),
        ({"expose": "yes"}, 400, "invalid_expose"),
        ({"expose": 1}, 400, "invalid_expose"),
        ({"messageId": 7}, 422, "invalid_id"),
        ({"messageId": ""}, 422, "invalid_id"),
        ({"exposed": True}, 400, "unknown_member"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_whole(
    mailer: Mailer, installation: Installation, change: dict[str, Any], status: int, code: str
) -> None:
    response = mailer.post({"experiment": KEY, "visitors": women("ann"), "expose": True, **change})
    assert (response.status_code, response.json["code"]) == (status, code)
    assert response.content_type == "application/problem+json"
    assert count_rows(installation, "events") == 0


def read_lines(response: TestResponse) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.json
    assert response.content_type == NDJSON
    return [json.loads(line) for line in response.data.splitlines()]


def test_lines_are_answered_by_lines_as_a_list_is(mailer: Mailer) -> None:
    asked = women(*some(700))
    data = b"\r\n".join(json.dumps(visitor).encode() for visitor in asked)
    assert read_lines(mailer.lines(data)) == mailer.assigned(*asked)


def test_lines_can_expose_and_a_line_that_is_no_json_is_an_error_of_its_own(
    mailer: Mailer, installation: Installation
) -> None:
    data = b'{"id": "ann"}\n{"id": NaN}\n\n{"id": "bob"\n\xff\xfe\n{"id": "a", "id": "b"}\n{"id": "eve"}'
    items = read_lines(mailer.lines(data, expose="true", messageId="spring"))
    assert [item.get("exposure", item.get("code")) for item in items] == [
        "accepted", "not_finite", "invalid_json", "not_utf8", "duplicate_key", "accepted",
    ]
    assert all("body" not in item["detail"] for item in items if "detail" in item)
    assert count_rows(installation, "exposures") == 2


def test_what_fails_once_the_answer_has_begun_is_told_to_each_visitor(
    mailer: Mailer, installation: Installation, act: Any
) -> None:
    body = {"experiment": KEY, "visitors": women(*some(600)), "expose": True}
    response = mailer.client.post("/v1/assignments", json=body, headers=mailer.headers, buffered=False)
    pieces = iter(response.response)
    begun = next(pieces)
    act("stop")
    act("archive")
    items = json.loads(b"".join([begun, *pieces]))["assignments"]
    fates = [item.get("exposure", item.get("code")) for item in items]
    assert fates == ["accepted"] * count_rows(installation, "exposures") + ["unknown_experiment"] * 350


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"expose": "yes"}, 400, "invalid_expose"),
        ({"expose": "1"}, 400, "invalid_expose"),
        ({"exposed": "true"}, 400, "unknown_member"),
        ({"messageId": ""}, 422, "invalid_id"),
        ({"experiment": "nowhere"}, 404, "unknown_experiment"),
        ({"experiment": ""}, 404, "unknown_experiment"),
    ],
)
def test_an_address_that_says_what_it_must_not_is_refused(
    mailer: Mailer, query: dict[str, str], status: int, code: str
) -> None:
    response = mailer.lines(b'{"id": "ann"}', **query)
    assert (response.status_code, response.json["code"]) == (status, code)


@pytest.mark.parametrize("size", [8 * MB, 8 * MB + 1])
def test_a_list_may_have_eight_megabytes_and_other_bodies_one(mailer: Mailer, size: int) -> None:
    opening, closing = b'{"experiment": "spring-mailing", "visitors": [', b"]}"
    data = opening + b" " * (size - len(opening) - len(closing)) + closing
    headers = {**mailer.headers, "Content-Type": "application/json"}
    response = mailer.client.post("/v1/assignments", data=data, headers=headers)
    assert response.status_code == (200 if size == 8 * MB else 413)
    assert mailer.client.post("/v1/batch", data=data, headers=headers).status_code == 413
    packed = mailer.client.post(
        "/v1/assignments", data=gzip.compress(data), headers={**headers, "Content-Encoding": "gzip"}
    )
    assert packed.status_code == response.status_code


def test_lists_are_for_servers(client: FlaskClient, keys: dict[str, str], running: dict[str, Any]) -> None:
    body = {"experiment": KEY, "visitors": women("ann")}
    statuses = {
        scope: client.post("/v1/assignments", json=body, headers=bearer(key)).status_code for scope, key in keys.items()
    }
    assert statuses == {"client": 403, "server": 200, "report": 403, "admin": 200}
    assert client.post("/v1/assignments", json=body).status_code == 401


@settings(
    max_examples=80, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    listed=st.lists(
        anything | st.fixed_dictionaries(
            {"id": perhaps("u1", "u2")},
            optional={
                "attributes": perhaps({}, {"womens": True}), "consent": perhaps("none", "measure"),
                "token": perhaps("a.b"),
            },
        ),
        max_size=5,
    ),
    expose=perhaps(True, False),
)
def test_a_list_of_anything_is_answered_visitor_by_visitor(
    mailer: Mailer, listed: list[Any], expose: Any
) -> None:
    headers = {**mailer.headers, "Content-Type": "application/json"}
    body = text({"experiment": KEY, "visitors": listed, "expose": expose})
    response = mailer.client.post("/v1/assignments", data=body, headers=headers)
    assert response.status_code in (200, 400)
    if response.status_code == 200:
        items = response.json["assignments"]
        assert len(items) == len(listed)
        assert all(("arm" in item) != ("code" in item) for item in items)
