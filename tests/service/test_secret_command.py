"""The commands for the secret, and real servers whose secret is changed: killed at any step, and node by node."""

import random
import signal
import stat
import threading
from contextlib import nullcontext
from http.client import HTTPException
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from experiments.errors import InvalidSignature
from experiments.errors import SecretMismatch
from experiments.failpoints import Failpoint
from experiments.privacy.access import access
from experiments.verification import verify
from service.config import load_config
from service.installation import Installation
from service.installation import open_installation
from service.people.links import read_link
from service.people.links import report_link
from tests.experiments.documents import spring_mailing
from tests.postgres import Databases
from tests.service.nodes import InstalledNode
from tests.service.nodes import Node
from tests.service.processes import Installed
from tests.service.processes import PATIENCE_SECONDS
from tests.service.processes import ServerProcess
from tests.service.processes import wait_until
from tests.service.test_failpoints import OF_ROTATIONS
from tests.service.test_pseudonyms import IDS
from tests.service.test_pseudonyms import files_that_hold
from tests.service.witnesses import KEY
from tests.service.witnesses import events

_PAUSE_SECONDS = 0.005
SECRETS = [f"secret number {number} of a test, long enough" for number in range(3)]


class Shop:
    """A shop at the door of a server, with a key of it."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._key = server.installed.done("key", "create", "--scope", "admin")

    def ask(self, path: str, body: Any) -> Any:
        """What is answered."""
        status, answer = self._server.ask("POST", path, body, key=self._key)
        assert status == 200, answer
        return answer

    def token(self, visitor: str) -> str:
        """What an evaluation promises."""
        return str(self.evaluation(visitor)["metadata"]["token"])

    def evaluation(self, visitor: str) -> dict[str, Any]:
        """What a visitor gets."""
        answer: dict[str, Any] = self.ask(f"/ofrep/v1/evaluate/flags/{KEY}", {"context": {"targetingKey": visitor}})
        return answer

    def accepted(self, visitor: str, token: str) -> int:
        """How many of an exposure and a purchase are taken."""
        return int(self.ask("/v1/batch", {"batch": events(visitor, token=token)})["accepted"])


def kept(installed: Installed) -> list[str]:
    """The secret beside the database, and the one before."""
    paths = (Path(f"{installed.database}.secret"), Path(f"{installed.database}.secret.previous"))
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in paths if path.exists())
    return [path.read_text().strip() for path in paths if path.exists()]


def seal_of(installed: Installed) -> str:
    """What the database keeps of its root."""
    with installed.opened() as installation:
        return str(installation.store.read(lambda session: session.meta.get("root_seal")))


def holders(folder: Path, text: str) -> set[str]:
    """The files that a text stands in."""
    return {path.name for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()}


def test_a_secret_is_rotated_by_a_command_and_no_file_tells_of_anybody(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    installed.environ["BESPOKE_LOG_LEVEL"] = "debug"
    installed.run_experiment(spring_mailing())
    server = ServerProcess(installed)
    shop, visitors = Shop(server), IDS[:50]
    assert sum(shop.accepted(visitor, shop.token(visitor)) for visitor in visitors) == 100
    given, late = {visitor: shop.evaluation(visitor)["variant"] for visitor in visitors}, shop.token(IDS[50])
    refused = installed.command("secret", "rotate")
    assert refused.returncode == 1 and "is served by another process" in refused.stderr
    [before] = kept(installed)
    assert server.end() == 0
    seal = seal_of(installed)
    assert holders(tmp_path, seal) == {"bespoke.db"}
    installed.done("secret", "rotate")
    # What the one before opened is gone.
    assert holders(tmp_path, seal) == set()
    now, previous = kept(installed)
    assert previous == before != now
    server.start()
    try:
        assert {visitor: shop.evaluation(visitor)["variant"] for visitor in visitors} == given
        assert {shop.evaluation(visitor)["metadata"]["cause"] for visitor in visitors} == {"sticky"}
        assert shop.accepted(IDS[50], late) == 2
        late = shop.token(IDS[51])
    finally:
        server.end()
    again = installed.command("secret", "rotate")
    assert again.returncode == 1 and "is still good; end it first: bespoke secret forget" in again.stderr
    assert "is gone" in installed.done("secret", "forget")
    assert kept(installed) == [now]
    installed.done("secret", "rotate")
    installed.done("secret", "forget")
    server.start()
    try:
        # What was signed with a secret that is forgotten: the exposure is refused, and the purchase waits.
        assert shop.accepted(IDS[51], late) == 1
        assert {shop.evaluation(visitor)["metadata"]["cause"] for visitor in visitors} == {"sticky"}
    finally:
        server.end()
    assert "agree with the events" in installed.done("verify")
    assert files_that_hold(tmp_path) == []
    [last] = kept(installed)
    assert holders(tmp_path, before) == holders(tmp_path, now) == set()
    assert holders(tmp_path, last) == {"bespoke.db.secret"}


def test_a_server_that_changes_the_secret_leaves_nothing_that_the_one_before_opens(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    installed.environ["BESPOKE_SECRET"] = installed.settings["BESPOKE_SECRET"] = SECRETS[0]
    installed.run_experiment(spring_mailing())
    seal = seal_of(installed)
    installed.environ |= {"BESPOKE_SECRET": SECRETS[1], "BESPOKE_SECRET_PREVIOUS": SECRETS[0]}
    server = ServerProcess(installed)
    try:
        assert holders(tmp_path, seal) == set()
    finally:
        server.end()


def test_a_fresh_secret_is_printed_alone_and_changes_nothing(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    made = {installed.done("secret", "new") for _ in range(2)}
    assert len(made) == 2 and all(len(secret) >= 32 and secret.isprintable() for secret in made)
    assert list(tmp_path.iterdir()) == []


def test_a_secret_that_is_given_is_not_changed_by_a_command(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    for command in ("rotate", "forget"):
        refused = installed.command("secret", command, BESPOKE_SECRET=SECRETS[0])
        assert refused.returncode == 1 and "BESPOKE_SECRET: is given" in refused.stderr


@pytest.mark.parametrize("point", OF_ROTATIONS)
def test_a_rotation_that_is_killed_at_any_step_loses_nobody_and_nothing_signed(
    tmp_path: Path, point: Failpoint
) -> None:
    installed = Installed(tmp_path)
    installed.run_experiment(spring_mailing())
    installed.done("assign", KEY, "-", stdin="visitor\nann\nbob\n")
    with installed.opened() as installation:
        before, link = known(installation), signed(installation)
    assert installed.command("secret", "rotate", BESPOKE_FAILPOINT=point).returncode == -signal.SIGKILL
    with installed.beside() as installation:
        assert known(installation) == before and is_good(link, installation)
    with installed.opened() as installation:
        assert known(installation) == before and is_good(link, installation)
        assert verify(installation.store) == []
    # Broken off before there was a new one, it is begun again; after that, a server finishes it.
    is_begun = len(kept(installed)) == 2 and len(set(kept(installed))) == 2
    assert is_begun == (point != Failpoint.FORMER_SECRET_KEPT)
    installed.done("secret", "forget" if is_begun else "rotate")
    with installed.opened() as installation:
        assert known(installation) == before and is_good(link, installation) != is_begun


def known(installation: Installation) -> list[Any]:
    """What is known of two visitors."""
    return [access(installation.store, name, keyring=installation.keyring)["exposures"] for name in ("ann", "bob")]


def signed(installation: Installation) -> str:
    """A link to the report."""
    expires_ms = installation.clock.now_ms() + 3_600_000
    link = report_link(KEY, address="http://shop.example", expires_ms=expires_ms, keyring=installation.keyring)
    return link.partition("?link=")[2]


def is_good(link: str, installation: Installation) -> bool:
    """Whether a link opens the report."""
    try:
        read_link(link, KEY, now_ms=installation.clock.now_ms(), keyring=installation.keyring)
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize("point", [Failpoint.ROOT_SEALED, Failpoint.ROTATION_COMMITTED])
def test_a_node_that_is_killed_while_it_changes_the_secret_has_changed_it_or_not(
    postgres: Databases, tmp_path: Path, point: Failpoint
) -> None:
    installed = InstalledNode(tmp_path / "node", postgres.empty())
    installed.set(BESPOKE_SECRET=SECRETS[0])
    installed.run_experiment(spring_mailing())
    installed.set(BESPOKE_SECRET=SECRETS[1], BESPOKE_SECRET_PREVIOUS=SECRETS[0])
    installed.environ["BESPOKE_FAILPOINT"] = point
    assert installed.start("serve", "--port", "0").wait(PATIENCE_SECONDS) == -signal.SIGKILL
    is_done = point == Failpoint.ROTATION_COMMITTED
    for secret, is_right in ((SECRETS[0], not is_done), (SECRETS[1], is_done)):
        alone = load_config({**installed.settings, "BESPOKE_SECRET": secret, "BESPOKE_SECRET_PREVIOUS": "off"})
        with nullcontext() if is_right else pytest.raises(SecretMismatch):
            open_installation(alone).close()
    with installed.opened() as installation:
        assert verify(installation.store) == []


class Travellers(threading.Thread):
    """Visitors who are evaluated by one node and exposed by another, whichever are there; nobody may be refused."""

    def __init__(self, nodes: list[Node], key: str) -> None:
        super().__init__()
        self._nodes, self._key, self._dice = nodes, key, random.Random(5)
        self._ended = threading.Event()
        self.arms: dict[str, str] = {}
        self.refused: list[Any] = []

    def run(self) -> None:
        """Bring them until told to end."""
        visitors = (f"traveller-{number}" for number in count())
        while not self._ended.wait(_PAUSE_SECONDS):
            self._bring(next(visitors))

    def _bring(self, visitor: str) -> None:
        context = {"context": {"targetingKey": visitor}}
        found = self._ask(f"/ofrep/v1/evaluate/flags/{KEY}", context)
        told = self._ask("/v1/batch", {"batch": events(visitor, token=found["metadata"]["token"])})
        self.arms[visitor] = found["variant"]
        # Sent again where a node was ended before it could answer.
        self.refused += [item for item in told["items"] if item["status"] != "duplicate"]

    def _ask(self, path: str, body: Any) -> Any:
        """The answer of some node."""
        while True:
            try:
                status, answer = self._dice.choice(self._nodes).ask("POST", path, body, key=self._key)
            except (OSError, HTTPException, ValueError):
                continue
            if status == 200:
                return answer

    def end(self) -> None:
        """Bring nobody more."""
        self._ended.set()
        self.join()


@pytest.mark.parametrize("names", [("one", "two"), pytest.param(("one", "two", "three"), marks=pytest.mark.long)])
def test_nodes_change_the_secret_one_by_one_while_events_come_and_nothing_is_refused(
    postgres: Databases, tmp_path: Path, names: tuple[str, ...]
) -> None:
    database = postgres.empty()
    installed = [InstalledNode(tmp_path / name, database) for name in names]
    for each in installed:
        each.set(BESPOKE_SECRET=SECRETS[0])
    installed[0].run_experiment(spring_mailing())
    key = installed[0].done("key", "create", "--scope", "admin")
    nodes = [Node(each) for each in installed]
    travellers = Travellers(nodes, key)
    travellers.start()
    try:
        for current, previous in ((0, SECRETS[1]), (1, SECRETS[0]), (1, "off")):
            for node in nodes:
                seen = len(travellers.arms)
                assert node.end() == 0
                node.installed.set(BESPOKE_SECRET=SECRETS[current], BESPOKE_SECRET_PREVIOUS=previous)
                node.start()
                wait_until(lambda: len(travellers.arms) > seen, what="travellers come")
    finally:
        travellers.end()
    assert travellers.refused == []
    for visitor, arm in list(travellers.arms.items())[::20]:
        found = nodes[0].evaluate(visitor, key=key, experiment=KEY)[1]
        assert (found["variant"], found["metadata"]["cause"]) == (arm, "sticky")
    report = nodes[1].ask("GET", f"/v1/experiments/{KEY}/report", key=key)[1]
    assert sum(row["visitors"] for row in report["totals"]) == len(travellers.arms)
    assert sum(row["metrics"]["purchase"]["sum"] for row in report["totals"]) == len(travellers.arms)
    assert {node.end() for node in nodes} == {0}
    with installed[0].beside() as installation:
        assert verify(installation.store) == []
    refused = installed[0].command("verify", BESPOKE_SECRET=SECRETS[0])
    assert refused.returncode == 1 and "BESPOKE_SECRET is not the secret of this database" in refused.stderr
