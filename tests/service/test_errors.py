import logging
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from experiments.errors import StorageBusy
from experiments.errors import StorageDamaged
from experiments.errors import StorageError
from experiments.errors import StorageFull
from service.auth import public
from service.installation import Installation
from tests.experiments.documents import tiny
from tests.service.conftest import bearer


def raising(error: Exception) -> Any:
    @public
    def view() -> str:
        raise error

    return view


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (StorageBusy("locked"), 503, "1"),
        (StorageFull("full"), 507, "60"),
        (StorageDamaged("damaged"), 503, "1"),
        (StorageError("unreadable"), 503, "1"),
    ],
)
def test_a_database_that_cannot_is_told_with_when_to_try_again(
    app: Flask, client: FlaskClient, error: StorageError, status: int, retry_after: str
) -> None:
    app.add_url_rule("/faulty", view_func=raising(error))
    response = client.get("/faulty")
    assert (response.status_code, response.headers["Retry-After"]) == (status, retry_after)
    assert response.json["code"] == error.code


def test_a_fault_of_ours_is_logged_once_and_told_without_its_cause(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    app.add_url_rule("/faulty", view_func=raising(KeyError("the secret cause")))
    with caplog.at_level(logging.ERROR):
        response = client.get("/faulty")
    assert (response.status_code, response.json["code"]) == (500, "internal_error")
    assert response.content_type == "application/problem+json"
    assert b"secret cause" not in response.data
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("view", "address", "names"),
    [
        ("evaluate_flag", "/ofrep/v1/evaluate/flags/spring-mailing", {"key", "errorCode", "errorDetails"}),
        ("evaluate_flags", "/ofrep/v1/evaluate/flags", {"errorCode", "errorDetails"}),
    ],
)
def test_an_evaluation_tells_a_fault_in_its_protocol(
    app: Flask, client: FlaskClient, keys: dict[str, str], caplog: pytest.LogCaptureFixture, view: str, address: str,
    names: set[str],
) -> None:
    broken = raising(KeyError("the secret cause"))
    broken.required_scope = "client"
    app.view_functions[f"ofrep.{view}"] = broken
    response = client.post(address, json={}, headers=bearer(keys["client"]))
    assert response.status_code == 500
    assert response.json.keys() == names
    assert response.json["errorCode"] == "GENERAL"
    assert response.json["errorDetails"]
    assert b"secret cause" not in response.data


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/batch", 405, "method_not_allowed"),
        ("DELETE", "/v1/experiments", 405, "method_not_allowed"),
        ("GET", "/v1/experiments/nowhere", 404, "unknown_experiment"),
    ],
)
def test_what_is_not_there_is_a_problem_too(
    client: FlaskClient, keys: dict[str, str], method: str, path: str, status: int, code: str
) -> None:
    response = client.open(path, method=method, headers=bearer(keys["admin"]))
    assert response.content_type == "application/problem+json"
    assert (response.status_code, response.json["code"]) == (status, code)
    assert response.json["status"] == status
    assert {"type", "title", "detail"} <= response.json.keys()


def test_the_methods_that_are_allowed_are_told(client: FlaskClient) -> None:
    assert "POST" in client.get("/v1/batch").headers["Allow"]


def test_a_document_s_faults_are_told_one_by_one(
    client: FlaskClient, keys: dict[str, str], installation: Installation
) -> None:
    document = tiny(control_share=2, currency="euros")
    response = client.post("/v1/experiments", json=document, headers=bearer(keys["admin"]))
    assert response.status_code == 422
    problems = {fault["field"]: fault for fault in response.json["problems"]}
    assert problems["control_share"]["value"] == 2
    assert problems["currency"]["value"] == "euros"
    assert all(fault["rule"] for fault in problems.values())


def test_every_response_carries_the_headers_of_safety(client: FlaskClient) -> None:
    for path in ("/healthz", "/nowhere", "/v1/experiments"):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "private, no-store"
