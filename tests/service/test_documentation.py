"""The documentation tells the truth: its commands run as printed, and nothing that users can set or meet is missing."""

import ast
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from flask import Flask

import experiments
import service
from experiments.errors import BespokeError
from experiments.storage.location import Server
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from service.cli import COMMANDS
from service.cli import cli
from service.config import SETTINGS
from tests.experiments.house import House
from tests.experiments.house import SECRET
from tests.experiments.house import SECRETS
from tests.experiments.tastes import letters
from tests.experiments.tastes import send
from tests.logs import running_log
from tests.postgres import Databases
from tests.postgres import running_postgres
from tests.spark import running_spark

_ROOT = Path(__file__).resolve().parents[2]
_DOCS = _ROOT / "docs"
_INDEX = (_DOCS / "README.md").read_text()
#: Every page, those of the index in its order.
PAGES = ["README.md", *(f"docs/{name}" for name in re.findall(r"^\| \[([a-z]+\.md)\]", _INDEX, re.MULTILINE))]
_BIN = Path(sys.executable).parent
#: Codes of commands alone, which say the same in words.
_OF_COMMANDS = {
    "address_taken", "differences", "idle", "inconsistent", "invalid_backup", "invalid_history", "invalid_key",
    "invalid_question", "invalid_setting", "invalid_shard", "invalid_table", "miscounted", "not_sent", "not_serving",
    "not_starting", "not_taken", "rejected_rows", "secret_mismatch", "unanswered", "unconfirmed", "unknown_campaign",
    "unsound",
}


def _text(page: str) -> str:
    return (_ROOT / page).read_text()


def _blocks(page: str, name: str = "") -> list[str]:
    """A page's programs for the shell, of those that have a name the ones that have this."""
    return re.findall(rf"^```sh{f' {name}' if name else ''}\n(.*?)^```", _text(page), re.DOTALL | re.MULTILINE)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _run(lines: list[str], folder: Path, **settings: str) -> str:
    """What a shell prints; the virtual environment is the one that the tests run in, the rest is as printed."""
    # Where a line fails, the server that an earlier one began ends too.
    ending = "trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT"
    script = "\n".join(["set -euo pipefail", ending, *(line for line in lines if "-m venv" not in line)])
    environment = {**os.environ, "PATH": f"{_BIN}:{os.environ['PATH']}", **settings}
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_commands_of_all_pages_work_as_printed_one_after_the_other(tmp_path: Path) -> None:
    shutil.copytree(_ROOT / "examples", tmp_path / "examples")
    port = str(_free_port())
    lines = "\n".join(block for page in PAGES for block in _blocks(page)).replace("8000", port).splitlines()
    printed = _run(lines, tmp_path, BESPOKE_PORT=port, BESPOKE_MIN_CELL="0")
    assert '"accepted":1' in printed
    assert '"sum":59.9' in printed
    assert "backup.db: OK" in printed
    assert (tmp_path / "backup.db").exists() and not (tmp_path / "drill").exists()
    assert "Spring mailing" in (tmp_path / "report.html").read_text()


@pytest.fixture(name="elsewhere")
def _elsewhere(postgres: Databases, tmp_path: Path) -> Server:
    (tmp_path / "secret").write_text("a secret of at least 32 characters, for tests")
    return postgres.empty()


def _on(server: Server, folder: Path, block: str) -> list[str]:
    """A block of the page on nodes, its addresses and paths those of this machine."""
    url = re.escape("postgresql://bespoke:…@database.example/bespoke")
    lines = re.sub(url, lambda _: shlex.quote(server.url), block)
    return lines.replace("/run/secrets/bespoke", str(folder / "secret")).splitlines()


def test_a_node_is_set_up_as_printed(elsewhere: Server, tmp_path: Path) -> None:
    lines = _on(elsewhere, tmp_path, *_blocks("docs/nodes.md", "node"))
    port = str(_free_port())
    ready = f"until curl --silent --fail http://127.0.0.1:{port}/readyz; do sleep 0.2; done"
    lines = [f"{line} &" if line == "bespoke serve" else line for line in lines]
    printed = _run([*lines, ready], tmp_path, BESPOKE_PORT=port)
    assert '"database":"ok"' in printed.replace(" ", "")


def test_an_installation_moves_to_postgresql_as_printed(elsewhere: Server, tmp_path: Path) -> None:
    shutil.copytree(_ROOT / "examples", tmp_path / "examples")
    apply, start = "bespoke experiment apply examples/spring-mailing.json", "bespoke experiment start spring-mailing"
    before, after = ["bespoke init", apply, start], ["bespoke report spring-mailing"]
    printed = _run([*before, *_on(elsewhere, tmp_path, *_blocks("docs/nodes.md", "moving")), *after], tmp_path)
    assert "Spring mailing" in printed


@pytest.mark.long
def test_a_cluster_is_set_up_as_printed(elsewhere: Server, tmp_path: Path) -> None:
    shutil.copytree(_ROOT / "examples", tmp_path / "examples")
    port, [block] = str(_free_port()), _blocks("docs/scale.md", "cluster")
    asked = f"http://127.0.0.1:{port}"
    apply, start = "bespoke experiment apply examples/spring-mailing.json", "bespoke experiment start spring-mailing"
    listed = [
        f"until curl --silent --fail {asked}/readyz; do sleep 0.2; done",
        'KEY="Authorization: Bearer $(bespoke key create --scope server)"',
        f"""curl --silent --fail {asked}/v1/assignments -H "$KEY" -H "Content-Type: application/json" """
        """-d '{"experiment": "spring-mailing", "expose": true, "visitors": [{"id": "ann"}, {"id": "bob"}]}'""",
    ]
    # As many partitions as printed need more connections than one server of tests gives.
    with running_log() as log, running_postgres() as second:
        block = block.replace("nats://a:4222,b:4222,c:4222", log.url).replace("/var/lib/bespoke", str(tmp_path))
        block = block.replace("postgresql://bespoke@second.example/bespoke", shlex.quote(second.empty().url))
        # What a terminal of its own is for goes on beside the rest.
        block = re.sub(r"^(bespoke (?:worker|serve)\b)", r"\1 &", block, flags=re.MULTILINE)
        serving, compare, moving = block.partition("bespoke shard compare")
        lines = ["bespoke init", apply, start, *serving.splitlines(), *listed, *(compare + moving).splitlines()]
        printed = _run(
            lines, tmp_path,
            BESPOKE_DATABASE_URL=elsewhere.url, BESPOKE_SECRET_FILE=str(tmp_path / "secret"), BESPOKE_PORT=port,
        )
    assert "spring-mailing, " in printed and "equal" in printed.splitlines()


@pytest.fixture(name="mailed")
def _mailed(tmp_path: Path) -> dict[str, str]:
    """The settings of an installation whose visitors got one of two letters a year ago."""
    database = tmp_path / "bespoke.db"
    migrate_database(database, fingerprint=SECRETS.fingerprint)
    store = open_store(database, fingerprint=SECRETS.fingerprint, serving=True)
    house = House(store)
    send(house, house.start(letters(key="spring-mailing")), visitors=4000, rng=np.random.default_rng(4))
    store.close()
    return {"BESPOKE_DATABASE_URL": f"sqlite:///{database}", "BESPOKE_SECRET": SECRET.current.decode()}


def _of_history(name: str, folder: Path) -> list[str]:
    """A block on histories, its folder one of this machine."""
    [block] = _blocks("docs/scale.md", name)
    return block.replace("/mnt/history", str(folder / "history")).splitlines()


def _of_database(lines: list[str]) -> list[str]:
    """The same asked of the database."""
    return [line.partition(" --history")[0] for line in lines if "export" not in line]


def test_a_history_is_asked_as_printed(mailed: dict[str, str], tmp_path: Path) -> None:
    lines = _of_history("history", tmp_path)
    exported, _, answered = _run(lines, tmp_path, **mailed).partition("\n")
    assert "4,000 rows of exposures" in exported
    assert answered == _run(_of_database(lines), tmp_path, **mailed)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_history_is_asked_of_a_cluster_as_printed(mailed: dict[str, str], tmp_path: Path) -> None:
    export, *_ = _of_history("history", tmp_path)
    lines = _of_history("spark", tmp_path)
    with running_spark(tmp_path / "spark") as cluster:
        asked = [line.replace("spark://master:7077", cluster.address) for line in lines]
        _, _, answered = _run([export, *asked], tmp_path, **mailed, **cluster.settings).partition("\n")
    assert answered == _run(_of_database(lines), tmp_path, **mailed)


def test_every_page_is_in_the_index() -> None:
    assert {path.name for path in _DOCS.glob("*.md")} - {"README.md"} == {Path(page).name for page in PAGES[1:]}


def _anchors(page: Path) -> set[str]:
    """What a page's headings are linked to by (as GitHub does it)."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, "docs/README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_every_link_leads_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", _text(page), flags=re.DOTALL)):
        if "://" not in link:
            name, _, anchor = link.partition("#")
            target = (_ROOT / page).parent / name if name else _ROOT / page
            assert target.exists(), link
            assert not anchor or anchor in _anchors(target), link


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md"])
def test_every_file_that_is_named_is_there(page: str) -> None:
    ours = r"`((?:benchmarks|docs|examples|experiments|service|stats|tests)/[\w./-]+\.\w+)(?:::\w+)?`"
    assert [name for name in re.findall(ours, _text(page)) if not (_ROOT / name).exists()] == []


def _printed_commands() -> Iterator[tuple[str, str]]:
    """What pages say of `bespoke`, in a line or within a sentence."""
    for page in [*PAGES, "CONTRIBUTING.md"]:
        for said in re.findall(r"`(bespoke [^`\n]+)`|^(?:\w+=\S+ )*(bespoke [^\n|&]+)", _text(page), re.MULTILINE):
            yield page, next(filter(None, said))


def _command(words: list[str]) -> click.Command | None:
    """The command that words begin with; None where there is none."""
    command: click.Command = cli
    context = click.Context(cli)
    for word in words:
        if not isinstance(command, click.Group):
            return command
        found = command.get_command(context, word.split("|")[0])
        if found is None:
            return None
        command = found
    return command


@pytest.mark.parametrize(("page", "line"), sorted(set(_printed_commands())))
def test_every_command_that_is_named_is_there_with_its_options(page: str, line: str) -> None:
    words = re.sub(r"#.*|[\[\]…]", " ", line).split()[1:]
    if words and words[0] not in {"COMMAND", "--help", "--version"}:
        command = _command([word for word in words if not word.startswith("-")])
        assert command is not None, f"{page}: {line}"
        options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"--help"}
        assert {word.split("=")[0] for word in words if word.startswith("--")} <= options, f"{page}: {line}"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_stands_in_the_page_of_commands(command: str) -> None:
    found = cli.get_command(click.Context(cli), command)
    assert found is not None
    acts = f" `{'`, `'.join(found.list_commands(click.Context(cli)))}`" if isinstance(found, click.Group) else ""
    assert f"| `{command}`{acts} | {found.get_short_help_str(200).rstrip('.')} |" in _text("docs/commands.md")


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_stands_in_the_page_of_commands(setting: object) -> None:
    name, default, text = setting.name, setting.default, setting.help  # type: ignore[attr-defined]
    assert f"| `BESPOKE_{name}` | {'' if default is None else f'`{default}`'} | {text} |" in _text("docs/commands.md")


def _paths(cell: str) -> set[str]:
    """The paths that a cell of the endpoints may mean: a shortened one stands beside an earlier one of the cell."""
    found: set[str] = set()
    for quoted in re.findall(r"`([^`]+)`", cell):
        path = re.sub(r"^(GET|POST|PUT) ?", "", quoted).split("?")[0]
        folders = {str(Path(earlier).parent) for earlier in found}
        stems = {earlier.rpartition(".")[0] for earlier in found} if path.startswith(".") else set()
        found |= {path} | {f"{folder}/{path.strip('/')}" for folder in folders} | {stem + path for stem in stems}
    return found


def _written(rule: str) -> list[set[str]]:
    """The ways to write a route: what one of several words is for stands there by its name, or the words themselves."""
    plain = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)
    choice = re.search(r"<any\(([^)]*)\):(\w+)>", plain)
    if choice is None:
        return [{plain}]
    words, name = choice[1].split(", "), choice[2]
    before, after = plain[: choice.start()], plain[choice.end() :]
    named = _written(f"{before}{{{name}}}{after}")
    return named + [set().union(*each) for each in zip(*(_written(before + word + after) for word in words))]


def test_every_endpoint_stands_in_the_page_of_the_api(app: Flask) -> None:
    cells = [line.split("|")[1] for line in _text("docs/api.md").splitlines() if line.startswith("| `")]
    printed = set().union(*map(_paths, cells))
    served = [rule.rule for rule in app.url_map.iter_rules() if not rule.rule.startswith("/static/")]
    assert [rule for rule in served if not any(way <= printed for way in _written(rule))] == []


def _codes() -> Iterator[str]:
    """Every code that something is refused by: of errors, and of views."""
    for package in (experiments, service):
        for path in Path(package.__file__).parent.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    yield from re.findall(r'^    code = "(\w+)"', ast.unparse(node).replace("'", '"'), re.MULTILINE)
                elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refused":
                    yield from (str(code.value) for code in node.args[1:2] if isinstance(code, ast.Constant))


def test_every_error_code_stands_in_the_page_of_the_api() -> None:
    # The root's code is nobody's.
    codes = set(_codes()) - {BespokeError.code}
    assert len(codes) > 80
    printed = set(re.findall(r"`(\w+)`", _text("docs/api.md").split("## Errors")[1]))
    assert codes - _OF_COMMANDS - printed == set()
    assert _OF_COMMANDS <= codes


def test_every_reason_code_stands_in_the_page_of_events() -> None:
    sources = "\n".join(path.read_text() for path in Path(experiments.__file__).parent.rglob("*.py"))
    raised = re.findall(r'RejectedEvent\(\s*"(\w+)"', sources)
    assert len(set(raised)) > 10
    assert {code for code in raised if f"`{code}`" not in _text("docs/events.md")} == set()
