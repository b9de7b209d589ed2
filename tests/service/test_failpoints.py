"""Real processes killed between any two steps: what they were doing is done whole or not at all, and goes on after."""

import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from typing import NamedTuple

import msgspec
import pytest

from experiments.failpoints import Failpoint
from experiments.keys import create_key
from experiments.privacy.retention import retain
from experiments.reallocation import reallocate_due
from experiments.storage.cells import CellRow
from experiments.storage.ledger import LedgerRow
from experiments.storage.session import Session
from experiments.storage.store import migrate_database
from experiments.verification import verify
from service import create_app
from service.config import load_config
from service.current import EXTENSION
from service.installation import Installation
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny
from tests.experiments.house import House
from tests.experiments.house import SECRET
from tests.experiments.house import SECRETS
from tests.service.conftest import DEED
from tests.service.conftest import bearer
from tests.service.conftest import count_rows
from tests.service.processes import Installed
from tests.service.processes import PATIENCE_SECONDS
from tests.service.processes import ServerProcess
from tests.service.processes import wait_until
from tests.service.witnesses import KEY
from tests.service.witnesses import events

#: Those that a batch of events reaches, those of whatever is removed, and those of the secret; all others are a slot's.
OF_EVENTS = [point for point in Failpoint if point.startswith(("events", "visitors", "counters"))]
OF_REMOVALS = [point for point in Failpoint if point.startswith("removal")]
OF_ROTATIONS = [point for point in Failpoint if point.startswith("rotation")]
OF_SLOTS = [point for point in Failpoint if point not in (*OF_EVENTS, *OF_REMOVALS, *OF_ROTATIONS)]

SECOND_MS = 1000


@contextmanager
def serving(installed: Installed) -> Iterator[ServerProcess]:
    """A server, killed in the end."""
    server = ServerProcess(installed)
    try:
        yield server
    finally:
        server.kill_everything()


def another_works(server: ServerProcess, killed: list[int]) -> bool:
    """Whether the main process has had to start another worker."""
    return bool(server.workers()) and not set(killed) & set(server.workers())


def batch_of(server: ServerProcess, *, key: str) -> dict[str, Any]:
    """Ann's exposure and purchase, which an evaluation has made possible."""
    answer = server.ask("POST", f"/ofrep/v1/evaluate/flags/{KEY}", {"context": {"targetingKey": "ann"}}, key=key)[1]
    return {"batch": events("ann", token=answer["metadata"]["token"])}


@pytest.mark.parametrize("point", OF_EVENTS)
def test_a_batch_is_stored_whole_or_not_at_all_and_counts_once_when_it_is_sent_again(
    tmp_path: Path, point: Failpoint
) -> None:
    installed = Installed(tmp_path)
    installed.run_experiment(spring_mailing())
    with installed.opened() as installation:
        key = create_key(
            installation.store, scope="admin", name="", origins=(), random=secrets.token_bytes, deed=DEED
        )
    installed.environ["BESPOKE_FAILPOINT"] = point
    with serving(installed) as server:
        killed, batch = server.workers(), batch_of(server, key=key)
        with pytest.raises((OSError, HTTPException)):
            server.ask("POST", "/v1/batch", batch, key=key)
        wait_until(lambda: another_works(server, killed), what="the worker has killed itself")
    app = create_app(load_config({**installed.settings, "BESPOKE_MIN_CELL": "0"}))
    installation = app.extensions[EXTENSION]
    try:
        stored = count_rows(installation, "events")
        assert stored == (2 if point == Failpoint.EVENTS_COMMITTED else 0)
        again = app.test_client().post("/v1/batch", json=batch, headers=bearer(key)).json
        assert again and (again["duplicate"], again["accepted"]) == (stored, 2 - stored)
        report = app.test_client().get(f"/v1/experiments/{KEY}/report", headers=bearer(key)).json
        assert report and sum(row["exposures"] for row in report["totals"]) == 1
        assert sum(row["metrics"]["purchase"]["sum"] for row in report["totals"]) == 1
        assert verify(installation.store) == []
    finally:
        installation.close()


class Standing(NamedTuple):
    """What a slot changes: the version of the configuration, the slots that are taken, and the ledger."""

    version: int
    taken: list[int]
    rows: list[LedgerRow]


def standing(installation: Installation) -> Standing:
    """How far the experiment's slots have come."""

    def read(session: Session) -> Standing:
        taken = session.connection.execute("SELECT slot FROM slots ORDER BY slot").fetchall()
        return Standing(session.meta.config_version(), [slot for (slot,) in taken], list(session.ledger.rows("tiny")))

    return installation.store.read(read)


def check_whole(installation: Installation, before: Standing) -> Standing:
    """Each slot that is taken has its one row of the ledger and one version, and each row follows from the last."""
    after = standing(installation)
    assert [msgspec.json.decode(row.body)["slot"] for row in after.rows[1:]] == after.taken
    assert [row.number for row in after.rows] == list(range(1, len(after.taken) + 2))
    assert [row.epoch for row in after.rows if row.kind == "published"] == list(range(1, after.rows[-1].epoch + 1))
    assert after.version - before.version == len(after.taken)
    assert verify(installation.store) == []
    return after


def prepare(installation: Installation) -> Standing:
    """An experiment whose weights move at every slot, for a while."""
    house = House(installation.store, now_ms=installation.clock.now_ms() - SECOND_MS)
    arms = [{"key": "a", "role": "mass"}, {"key": "b", "role": "mass"}]
    policy = {"kind": "thompson", "every": "1s", "burn_in": 0, "burn_in_conversions": 0, "max_step": 0.01}
    key = house.start(tiny(arms=arms, policy=policy))
    arm_by_visitor = {f"v{n}": house.evaluate(key, f"v{n}").assignment.arm for n in range(200)}
    house.record(*(house.exposure(key, visitor) for visitor in arm_by_visitor))
    house.record(*(house.event(visitor, "Signed Up") for visitor, arm in arm_by_visitor.items() if arm == "b"))
    return standing(installation)


@pytest.mark.parametrize("point", OF_SLOTS)
def test_a_slot_is_done_whole_or_not_at_all_and_once_when_it_is_resumed(tmp_path: Path, point: Failpoint) -> None:
    installed = Installed(tmp_path)
    with installed.opened() as installation:
        before = prepare(installation)
    installed.environ["BESPOKE_FAILPOINT"] = point
    assert installed.start("scheduler").wait(PATIENCE_SECONDS) == -signal.SIGKILL
    with installed.opened() as installation:
        found = check_whole(installation, before)
        assert len(found.taken) == (1 if point == Failpoint.SLOT_COMMITTED else 0)
        for seconds in (100, 100, 101):
            reallocate_due(installation.store, now_ms=before.rows[0].at_ms + seconds * SECOND_MS)
        after = check_whole(installation, before)
        assert after.taken == [*found.taken, 100, 101]
        assert after.rows[-1].epoch == found.rows[-1].epoch + 2


def long_ago(installation: Installation) -> list[CellRow]:
    """An experiment that was visited and stopped two years ago; its cells."""
    house = House(installation.store)
    key = house.start(tiny())
    house.record(*(house.exposure(key, f"v{number}") for number in range(20)))
    house.record(*(house.event(f"v{number}", "Signed Up") for number in range(25)))
    house.act(key, "stop")
    return house.cells(key)


def check_balanced(installation: Installation, cells: list[CellRow]) -> int:
    """Counts are as they were, and agree with what is left; how many rows of visitors that is."""
    assert House(installation.store).cells("tiny") == cells
    assert verify(installation.store) == []
    return sum(count_rows(installation, table) for table in ("events", "exposures", "totals", "waiting"))


@pytest.mark.parametrize("point", OF_REMOVALS)
def test_retention_that_is_killed_does_no_harm_and_goes_on(tmp_path: Path, point: Failpoint) -> None:
    installed = Installed(tmp_path)
    with installed.opened() as installation:
        cells = long_ago(installation)
    installed.environ["BESPOKE_FAILPOINT"] = point
    assert installed.start("scheduler").wait(PATIENCE_SECONDS) == -signal.SIGKILL
    with installed.opened() as installation:
        assert check_balanced(installation, cells) > 0
        keeping, now_ms = installation.keeping(), installation.clock.now_ms()
        while retain(installation.store, installation.snapshots, keeping, now_ms=now_ms):
            pass
        assert check_balanced(installation, cells) == 0


@pytest.mark.parametrize("point", [Failpoint.VISITORS_REMOVED, Failpoint.REMOVAL_COMMITTED])
def test_an_erasure_that_is_killed_is_done_whole_or_not_at_all(tmp_path: Path, point: Failpoint) -> None:
    installed = Installed(tmp_path)
    # The keys that a house has.
    secret = {"BESPOKE_SECRET": SECRET.current.decode()}
    installed.settings |= secret
    installed.environ |= secret
    migrate_database(installed.database, fingerprint=SECRETS.fingerprint)
    with installed.opened() as installation:
        cells = long_ago(installation)
        before = check_balanced(installation, cells)
    assert installed.command("erase", "v3", BESPOKE_FAILPOINT=point).returncode == -signal.SIGKILL
    with installed.opened() as installation:
        # An exposure, a total and two events.
        gone = 4 if point == Failpoint.REMOVAL_COMMITTED else 0
        assert before - check_balanced(installation, cells) == gone
    installed.done("erase", "v3")
    with installed.opened() as installation:
        assert before - check_balanced(installation, cells) == 4


def test_a_step_that_is_none_is_refused(tmp_path: Path) -> None:
    refused = Installed(tmp_path).command("init", BESPOKE_FAILPOINT="nowhere")
    assert refused.returncode == 1
    assert "BESPOKE_FAILPOINT: 'nowhere' must be one of off, events-read, " in refused.stderr
