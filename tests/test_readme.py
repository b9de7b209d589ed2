"""The README tells the truth: its commands run as printed, and nothing that a user can set or meet is missing."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import experiments
from service.cli import COMMANDS
from service.config import SETTINGS

_ROOT = Path(__file__).resolve().parents[1]
_README = (_ROOT / "README.md").read_text()
_RUNBOOK = (_ROOT / "docs" / "runbook.md").read_text()
_SOURCES = [path.read_text() for path in Path(experiments.__file__).parent.glob("*.py")]


def _shell_blocks() -> list[str]:
    """The README's, then the runbook's, which go on from there."""
    return re.findall(r"```sh\n(.*?)```", _README + _RUNBOOK, re.DOTALL)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def test_the_commands_work_as_printed_from_key_to_report(tmp_path: Path) -> None:
    shutil.copytree(_ROOT / "examples", tmp_path / "examples")
    port = str(_free_port())
    # The virtual environment is the one that the tests run in; everything else is as printed.
    lines = "\n".join(_shell_blocks()).replace("8000", port).splitlines()
    script = "\n".join(["set -euo pipefail", *(line for line in lines if "-m venv" not in line), "kill %1; wait"])
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "BESPOKE_PORT": port, "BESPOKE_MIN_CELL": "0"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"accepted":1' in done.stdout
    assert '"sum":59.9' in done.stdout
    assert "backup.db: OK" in done.stdout
    assert (tmp_path / "first-backup.db").exists() and not (tmp_path / "drill").exists()
    assert "Spring mailing" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_stands_in_the_readme(setting: object) -> None:
    name, default, text = setting.name, setting.default, setting.help  # type: ignore[attr-defined]
    assert f"| `BESPOKE_{name}` | {'' if default is None else f'`{default}`'} | {text} |" in _README


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_stands_in_the_readme(command: str) -> None:
    assert f"`{command}`" in _README


def test_every_reason_code_stands_in_the_readme() -> None:
    raised = re.findall(r'RejectedEvent\(\s*"(\w+)"', "\n".join(_SOURCES))
    assert len(set(raised)) > 10
    assert {code for code in raised if f"`{code}`" not in _README} == set()
