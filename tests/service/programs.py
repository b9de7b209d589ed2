"""Programs against a real server, as users run them: in a process of their own, with the published clients."""

import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experiments.audit import Deed
from experiments.keys import SCOPES
from experiments.keys import create_key
from tests.experiments.documents import spring_mailing
from tests.service.processes import REPOSITORY
from tests.service.processes import Installed
from tests.service.processes import ServerProcess

KEY = "spring-mailing"
PATIENCE_SECONDS = 120

#: Visitors, exposures, purchases and money.
Figures = tuple[int, int, int, float]

#: What pages print for the server's address and for a client key.
_ADDRESS, _CLIENT_KEY = "https://bespoke.example", "pk_…"

_COMMANDS = {
    "python": [sys.executable, "-"],
    "js": [str(Path(sys.executable).parent / "node"), "--input-type=module"],
}
#: Node looks for the packages of a program that comes in by stdin from the folder that it runs in.
_NODE_FOLDER = REPOSITORY / "tests" / "clients" / "node"


def printed(page: str, language: str, *names: str) -> str:
    """The program that a page prints in a language: its blocks of these names, one after the other."""
    text = (REPOSITORY / page).read_text()
    blocks = dict(re.findall(rf"^```{language} (\S+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    return "\n".join(blocks[name] for name in names)


def printed_names(page: str) -> set[tuple[str, str]]:
    """The language and the name of every block of a page that is a part of a program."""
    text = (REPOSITORY / page).read_text()
    return set(re.findall(r"^```(python|js|html)\b *(\S*)$", text, re.MULTILINE))


def local_evaluation() -> dict[str, Any]:
    """The example as SDKs may evaluate it by themselves: its goal hears servers only."""
    goal, *others = spring_mailing()["metrics"]
    return spring_mailing(local_evaluation=True, metrics=[{**goal, "source": "server"}, *others])


class Campaign:
    """An experiment, running on a server of its own, with a key of each scope; `origins` bind the client key."""

    def __init__(self, folder: Path, *, document: dict[str, Any], origins: Sequence[str]) -> None:
        self.installed = Installed(folder)
        self.installed.environ["BESPOKE_MIN_CELL"] = "0"
        self.installed.run_experiment(document)
        self.keys = self._keys(client=origins)
        self.server = ServerProcess(self.installed)
        self.address = f"http://127.0.0.1:{self.server.port}"

    def _keys(self, **origins: Sequence[str]) -> dict[str, str]:
        with self.installed.opened() as installation:
            return {
                scope: create_key(
                    installation.store, scope=scope, name=scope, origins=origins.get(scope, ()),
                    random=secrets.token_bytes, deed=Deed("test", installation.clock.now_ms()),
                )
                for scope in SCOPES
            }

    def filled_in(self, program: str) -> str:
        """A page's program, which has no environment: with this server's address and client key in it."""
        assert _ADDRESS in program and _CLIENT_KEY in program
        return program.replace(_ADDRESS, self.address).replace(_CLIENT_KEY, self.keys["client"])

    def start(self, language: str, program: str, **settings: str) -> subprocess.Popen[str]:
        """Start a program that knows nothing of the server but its address and its keys."""
        with tempfile.TemporaryFile("w+") as text:
            text.write(program)
            text.seek(0)
            return subprocess.Popen(
                _COMMANDS[language],
                cwd=_NODE_FOLDER if language == "js" else self.installed.folder,
                env={**self._environ(), **settings},
                stdin=text,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )

    def _environ(self) -> dict[str, str]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith("BESPOKE_")}
        keys = {f"BESPOKE_{scope.upper()}_KEY": key for scope, key in self.keys.items()}
        return {**kept, **keys, "BESPOKE_ADDRESS": self.address}

    def run(self, language: str, program: str, **settings: str) -> str:
        """What a program prints that does what it is meant to."""
        return finished(self.start(language, program, **settings))

    def evaluate(self, visitor: str, **attributes: Any) -> Any:
        """What the server answers who asks for this visitor."""
        context = {"context": {"targetingKey": visitor, **attributes}}
        return self.server.ask("POST", f"/ofrep/v1/evaluate/flags/{KEY}", context, key=self.keys["client"])[1]

    def buy(self, visitor: str, revenue: float) -> None:
        """Say, as the shop's own server does, what a visitor spent."""
        order = {"userId": visitor, "event": "Order Completed", "properties": {"revenue": revenue}}
        status, answer = self.server.ask("POST", "/v1/track", order, key=self.keys["server"])
        assert (status, answer["accepted"]) == (200, 1), answer

    def report(self) -> Any:
        """The report now."""
        status, report = self.server.ask("GET", f"/v1/experiments/{KEY}/report", key=self.keys["report"])
        assert status == 200, report
        return report

    def counted(self) -> dict[tuple[str, str], Figures]:
        """The figures of every segment and arm that has visitors."""
        return {(row["segment"], row["arm"]): _figures(row) for row in self.report()["arms"] if row["visitors"]}

    def verify(self) -> None:
        """Count everything again."""
        self.installed.check()


def _figures(row: Any) -> Figures:
    sums = {key: metric["sum"] for key, metric in row["metrics"].items()}
    return row["visitors"], row["exposures"], sums["purchase"], sums["spend"]


@contextmanager
def campaign_in(
    folder: Path, *, document: dict[str, Any] | None = None, origins: Sequence[str] = ()
) -> Iterator[Campaign]:
    """A campaign, of the example where no other is given, whose server ends with the test."""
    campaign = Campaign(folder, document=document or spring_mailing(), origins=origins)
    try:
        yield campaign
    finally:
        if campaign.server.main.poll() is None:
            campaign.server.kill_everything()


def finished(process: subprocess.Popen[str]) -> str:
    """What a started program has printed at its end."""
    try:
        output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0, output + errors
    return output
