from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from service.installation import Installation
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny
from tests.service.conftest import bearer
from tests.service.conftest import count_rows


class Desk:
    """A marketer with an admin key."""

    def __init__(self, client: FlaskClient, keys: dict[str, str]) -> None:
        self.client = client
        self.headers = bearer(keys["admin"])

    def post(self, path: str = "", document: Any = None) -> TestResponse:
        """Post below the experiments."""
        return self.client.post(f"/v1/experiments{path}", json=document, headers=self.headers)

    def put(self, path: str, document: Any) -> TestResponse:
        """Put below the experiments."""
        return self.client.put(f"/v1/experiments{path}", json=document, headers=self.headers)

    def get(self, path: str = "") -> Any:
        """What stands below the experiments."""
        response = self.client.get(f"/v1/experiments{path}", headers=self.headers)
        assert response.status_code == 200, response.json
        return response.json


@pytest.fixture(name="desk")
def _desk(client: FlaskClient, keys: dict[str, str]) -> Desk:
    return Desk(client, keys)


def test_a_new_experiment_is_a_draft_with_an_address(desk: Desk) -> None:
    response = desk.post(document=spring_mailing())
    assert response.status_code == 201
    assert response.headers["Location"] == "/v1/experiments/spring-mailing"
    body = desk.get("/spring-mailing")
    assert body == response.json
    assert (body["state"], body["epoch"], body["started_at"]) == ("draft", None, None)
    assert {name: body[name] for name in spring_mailing()} == spring_mailing()


def test_a_second_one_of_its_key_is_refused(desk: Desk, installation: Installation) -> None:
    desk.post(document=tiny())
    response = desk.post(document=tiny(name="another"))
    assert (response.status_code, response.json["code"]) == (409, "experiment_exists")
    assert count_rows(installation, "experiments") == 1
    assert desk.get("/tiny").get("name") != "another"


def test_all_of_them_are_listed(desk: Desk) -> None:
    desk.post(document=tiny())
    desk.post(document=spring_mailing())
    assert [one["key"] for one in desk.get()["experiments"]] == ["spring-mailing", "tiny"]


def test_it_goes_through_its_states(desk: Desk) -> None:
    desk.post(document=tiny())
    states = [
        desk.post(f"/tiny/{name}").json["state"]
        for name in ("start", "pause", "resume", "stop", "archive")
    ]
    assert states == ["running", "paused", "running", "stopped", "archived"]


@pytest.mark.parametrize("name", ["pause", "resume", "stop", "archive", "reallocate"])
def test_what_a_draft_cannot_do_is_refused(desk: Desk, name: str) -> None:
    desk.post(document=tiny())
    response = desk.post(f"/tiny/{name}")
    assert (response.status_code, response.json["code"]) == (409, "invalid_state")
    assert desk.get("/tiny")["state"] == "draft"


@pytest.mark.parametrize("path", ["", "/report", "/allocations"])
def test_what_is_not_there_cannot_be_read(desk: Desk, path: str) -> None:
    response = desk.client.get(f"/v1/experiments/nowhere{path}", headers=desk.headers)
    assert (response.status_code, response.json["code"]) == (404, "unknown_experiment")


@pytest.mark.parametrize("name", ["start", "pause", "resume", "stop", "archive", "reallocate"])
def test_what_is_not_there_cannot_be_changed(desk: Desk, name: str) -> None:
    assert desk.post(f"/nowhere/{name}").status_code == 404
    assert desk.put("/nowhere", tiny(key="nowhere")).status_code == 404


def test_an_act_that_is_none_is_not_found(desk: Desk) -> None:
    assert desk.post("/tiny/explode").status_code == 404


def test_what_was_read_can_be_written_back(desk: Desk, running: dict[str, Any]) -> None:
    response = desk.put("/spring-mailing", desk.get("/spring-mailing"))
    assert response.status_code == 200, response.json


def test_a_draft_is_replaced_freely(desk: Desk) -> None:
    desk.post(document=tiny())
    response = desk.put("/tiny", tiny(name="Better", control_share=0.2))
    assert response.status_code == 200
    assert desk.get("/tiny")["name"] == "Better"


def test_a_running_one_keeps_its_rules(desk: Desk, running: dict[str, Any]) -> None:
    response = desk.put("/spring-mailing", spring_mailing(control_share=0.2))
    assert (response.status_code, response.json["code"]) == (409, "frozen")
    assert desk.get("/spring-mailing")["control_share"] == 0.1


def test_an_arm_may_join_while_it_runs(desk: Desk, running: dict[str, Any]) -> None:
    arms = [*running["arms"], {"key": "second-letter", "role": "mass", "message": {"subject": "Again"}}]
    response = desk.put("/spring-mailing", spring_mailing(arms=arms))
    assert response.status_code == 200, response.json
    assert desk.get("/spring-mailing")["epoch"] == 2
    assert "second-letter" in desk.get("/spring-mailing/allocations")["allocations"][-1]["weights"]["everyone-else"]


@pytest.mark.parametrize(
    "document",
    [
        tiny(arms=[{"key": "nothing", "role": "control"}]),
        tiny(arms=[{"key": "a", "role": "mass"}, {"key": "b", "role": "tailored"}]),
        tiny(policy={"kind": "fixed", "shares": {"everyone": 0.4}}),
        tiny(metrics=[*tiny()["metrics"], *tiny()["metrics"]]),
        spring_mailing(attributes={"recency": "number"}),
        tiny(colour="green"),
        tiny(key="Not A Key"),
        {},
    ],
    ids=["no mass arm", "no segment", "shares", "a metric twice", "undeclared attribute", "field", "key", "empty"],
)
def test_a_document_that_cannot_work_is_refused_whole(
    desk: Desk, installation: Installation, document: dict[str, Any]
) -> None:
    response = desk.post(document=document)
    assert response.status_code == 422
    assert response.json["code"] == "invalid_document"
    assert all({"field", "value", "rule"} == fault.keys() for fault in response.json["problems"])
    assert response.json["problems"]
    assert count_rows(installation, "experiments") == 0


def test_a_reallocation_answers_with_its_row_of_the_ledger(desk: Desk, running: dict[str, Any]) -> None:
    response = desk.post("/spring-mailing/reallocate")
    assert response.status_code == 200
    ledger = desk.get("/spring-mailing/allocations")
    assert ledger["experiment"] == "spring-mailing"
    assert ledger["allocations"][-1] == response.json
    assert [row["number"] for row in ledger["allocations"]] == [1, 2]
    for row in ledger["allocations"]:
        assert all(sum(weights.values()) == pytest.approx(1) for weights in row["weights"].values())


def test_the_ledger_says_which_key_acted(desk: Desk, running: dict[str, Any], keys: dict[str, str]) -> None:
    actors = {row["actor"] for row in desk.get("/spring-mailing/allocations")["allocations"]}
    assert actors == {keys["admin"][:12]}


def test_only_a_running_one_is_reallocated(desk: Desk, running: dict[str, Any]) -> None:
    desk.post("/spring-mailing/pause")
    response = desk.post("/spring-mailing/reallocate")
    assert (response.status_code, response.json["code"]) == (409, "invalid_state")
    assert [row["act"] for row in desk.get("/spring-mailing/allocations")["allocations"]] == ["start", "pause"]


def test_small_cells_are_hidden_in_the_report(desk: Desk, running: dict[str, Any]) -> None:
    report = desk.get("/spring-mailing/report")
    assert all(row["suppressed"] for row in report["arms"])


def test_acts_take_a_reason_and_nothing_else(desk: Desk, running: dict[str, Any], keys: dict[str, str]) -> None:
    frozen = desk.post("/spring-mailing/freeze", {"reason": "The shop moves house."})
    assert (frozen.status_code, frozen.json["frozen"], frozen.json["state"]) == (200, True, "running")
    row = desk.get("/spring-mailing/allocations")["allocations"][-1]
    assert (row["act"], row["reason"], row["actor"]) == ("freeze", "The shop moves house.", keys["admin"][:12])
    assert desk.post("/spring-mailing/unfreeze").json["frozen"] is False
    for body in ({"reason": ""}, {"reason": 5}, {"reasn": "a"}, {"reason": "a\nb"}):
        refused = desk.post("/spring-mailing/finish", body)
        assert (refused.status_code, refused.json["code"]) == (422, "invalid_reason"), body
    assert desk.post("/spring-mailing/finish").json["epoch"] == 2
    assert desk.post("/spring-mailing/freeze").json["code"] == "invalid_state"
