"""The protocol's own OpenAPI document, held against a real server by schemathesis."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny
from tests.service.processes import Installed
from tests.service.processes import ServerProcess

CONFIGURATION = """
[auth.openapi.BearerAuth]
bearer = "{key}"

[auth.openapi.ApiKeyAuth]
api_key = "{key}"
"""


@pytest.fixture(scope="module", name="server")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that limits nobody's rate, with two experiments that run."""
    installed = Installed(tmp_path_factory.mktemp("schema"))
    for document in (spring_mailing(), tiny()):
        installed.run_experiment(document)
    installed.environ["BESPOKE_CLIENT_RATE"] = "0"
    server = ServerProcess(installed)
    yield server
    server.end()


@pytest.fixture(name="published")
def _published(shared_data: Path) -> dict[str, Any]:
    """The published document, mended where it contradicts itself, with the keys and the visitors that there can be."""
    published: dict[str, Any] = yaml.safe_load((shared_data / "ofrep-openapi.yaml").read_text())
    schemas = published["components"]["schemas"]
    # As published it holds for every flag, so that exactly one kind of flag never does.
    schemas["codeDefaultFlag"]["not"] = {"required": ["value"]}
    schemas["context"]["properties"]["targetingKey"] |= {
        "minLength": 1, "maxLength": 512, "pattern": r"^[^\u0000-\u001f]+$",
    }
    key = published["paths"]["/ofrep/v1/evaluate/flags/{key}"]["post"]["parameters"][0]
    key |= {"schema": {"enum": ["spring-mailing", "tiny"]}, "example": "spring-mailing"}
    return published


def check(server: ServerProcess, published: dict[str, Any], *, cases: int) -> None:
    """Let schemathesis look for faults with so many cases of each endpoint; it must find none."""
    folder = server.installed.folder
    key = server.installed.key("client")
    (folder / "ofrep.json").write_text(json.dumps(published))
    (folder / "schemathesis.toml").write_text(CONFIGURATION.format(key=key))
    command = [
        Path(sys.executable).parent / "schemathesis", "--config-file", "schemathesis.toml", "--no-color", "run",
        "ofrep.json", "--url", f"http://127.0.0.1:{server.port}", "--seed", "1", "--max-examples", str(cases),
        "--checks", "all", "--continue-on-failure",
    ]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "Warnings" not in found.stdout, found.stdout
    assert "ERROR" not in server.installed.log.read_text()


def test_nothing_breaks_the_published_contract(server: ServerProcess, published: dict[str, Any]) -> None:
    check(server, published, cases=30)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_ten_thousand_cases_break_nothing(server: ServerProcess, published: dict[str, Any]) -> None:
    check(server, published, cases=5000)
