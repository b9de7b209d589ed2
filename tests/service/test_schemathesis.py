"""The real server under requests made from its own reference: no fault, and no answer that is not described."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck
from hypothesis import Phase
from hypothesis import given
from hypothesis import seed
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance
from schemathesis.specs.openapi.checks import response_schema_conformance
from schemathesis.specs.openapi.checks import status_code_conformance

from tests.experiments.documents import spring_mailing
from tests.service.processes import Installed
from tests.service.processes import ServerProcess

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
QUICK = 4
THOROUGH = 10_000


@pytest.fixture(scope="module", name="server")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    installed = Installed(tmp_path_factory.mktemp("schemathesis"))
    installed.run_experiment(spring_mailing())
    server = ServerProcess(installed)
    yield server
    server.end()


@pytest.fixture(scope="module", name="key")
def _key(server: ServerProcess) -> str:
    return server.installed.key("admin")


def operations(server: ServerProcess) -> list[Any]:
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{server.port}/openapi.json")
    return [found.ok() for found in schema.get_all_operations()]


def fuzz(server: ServerProcess, key: str, *, cases: int) -> int:
    """Send every operation so many requests of either kind; how many were answered."""
    answered = 0
    for operation in operations(server):
        # Where there is nothing to say, nothing wrong can be said.
        takes = operation.definition.raw.get("parameters") or operation.definition.raw.get("requestBody")
        for mode in MODES if takes else MODES[:1]:
            @seed(1)
            @settings(
                max_examples=cases, database=None, phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode), known=st.booleans())
            def send(case: Any, known: bool) -> None:
                nonlocal answered
                if known and "key" in case.path_parameters:
                    case.path_parameters["key"] = "spring-mailing"
                case.call_and_validate(headers={"Authorization": f"Bearer {key}"}, checks=CHECKS)
                answered += 1

            try:
                send()
            except Unsatisfiable:
                # It takes any text.
                assert mode is GenerationMode.NEGATIVE
    return answered


def test_no_request_meets_a_fault_or_an_answer_that_is_not_described(server: ServerProcess, key: str) -> None:
    assert fuzz(server, key, cases=QUICK) > 20 * QUICK


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_ten_thousand_requests_meet_none_either(server: ServerProcess, key: str) -> None:
    kinds = len(operations(server)) * len(MODES)
    assert fuzz(server, key, cases=THOROUGH // kinds + 1) > THOROUGH // 2
