"""Moving an installation between an embedded database and PostgreSQL, by the command line: nobody notices."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from experiments.evaluation import Asking
from experiments.evaluation import evaluate
from experiments.events import Terms
from experiments.recording import Sender
from experiments.recording import record
from experiments.reports import build_report
from service.installation import Installation
from tests.experiments.documents import spring_mailing
from tests.experiments.house import START
from tests.postgres import Databases
from tests.service.processes import Installed

KEY = "spring-mailing"
VISITORS = [f"visitor-{number}" for number in range(120)]
NOW_MS = START + 3_600_000


def arms(installation: Installation) -> dict[str, tuple[object, ...]]:
    """What everybody gets, and why."""
    asking = Asking(NOW_MS, "personalise", 90 * 86_400)

    def arm(number: int, visitor: str) -> tuple[object, ...]:
        context = {"targetingKey": visitor, "womens": number % 2 == 0}
        snapshot = installation.snapshots.refresh()
        found = evaluate(
            installation.store, snapshot, KEY, context=context, asking=asking, keyring=installation.keyring
        )
        return (*found.assignment, found.token)

    return {visitor: arm(number, visitor) for number, visitor in enumerate(VISITORS)}


def send(installation: Installation, exposed: Sequence[str], buying: Sequence[str], *, part: str) -> None:
    """Some see their letter, and some buy, before they have seen it or after."""
    tokens = {visitor: arm[-1] for visitor, arm in arms(installation).items()}
    seen = [_event(visitor, "Experiment Viewed", experiment_id=KEY, token=tokens[visitor]) for visitor in exposed]
    orders = [_event(visitor, "Order Completed", revenue=index % 7) for index, visitor in enumerate(buying)]
    receipts = record(
        installation.store,
        installation.snapshots,
        items=[{**item, "messageId": f"{part}-{number}"} for number, item in enumerate((*seen, *orders))],
        sent_at=None,
        sender=Sender(True, NOW_MS),
        terms=Terms("personalise", 90 * 86_400),
        keyring=installation.keyring,
        fresh_id=lambda: b"",
    )
    assert {receipt.status for receipt in receipts} == {"accepted"}


def _event(visitor: str, name: str, **properties: object) -> dict[str, object]:
    return {"type": "track", "userId": visitor, "event": name, "properties": properties}


def report(installation: Installation) -> dict[str, Any]:
    """The report."""
    return build_report(installation.store, KEY, now_ms=NOW_MS, min_cell=0)


@pytest.fixture
def embedded(tmp_path: Path) -> Installed:
    """An installation on a file, with a secret of its own and a campaign that some have seen."""
    installed = _placed(tmp_path / "embedded")
    installed.run_experiment(spring_mailing())
    with installed.opened() as installation:
        send(installation, VISITORS[:80], VISITORS[:90:3], part="first")
    return installed


def _placed(folder: Path) -> Installed:
    folder.mkdir()
    return Installed(folder)


def _above(embedded: Installed, folder: Path, databases: Databases) -> Installed:
    """A place on PostgreSQL with the secret of an installation, and nothing in it."""
    installed = _placed(folder)
    secret = Path(f"{embedded.database}.secret").read_text().strip()
    installed.settings = {"BESPOKE_DATABASE_URL": databases.empty().url, "BESPOKE_SECRET": secret}
    installed.environ |= installed.settings
    return installed


def test_an_installation_moves_to_postgresql_and_back_and_goes_on_as_it_was(
    embedded: Installed, tmp_path: Path, postgres: Databases
) -> None:
    embedded.done("backup", str(tmp_path / "up.db"))
    above = _above(embedded, tmp_path / "above", postgres)
    above.done("restore", str(tmp_path / "up.db"))
    with embedded.opened() as old, above.opened() as new:
        assert arms(new) == arms(old)
        assert report(new) == report(old)
        # Both go on alike: those who waited are exposed, those who were exposed are counted on.
        for each in (old, new):
            send(each, VISITORS[70:], VISITORS[40:100:2], part="second")
        assert report(new) == report(old)

    above.done("backup", str(tmp_path / "down.db"))
    below = _placed(tmp_path / "below")
    below.environ["BESPOKE_SECRET"] = below.settings["BESPOKE_SECRET"] = above.settings["BESPOKE_SECRET"]
    below.done("restore", str(tmp_path / "down.db"))
    with above.opened() as old, below.opened() as new:
        assert arms(new) == arms(old)
        for each in (old, new):
            send(each, VISITORS[:5], VISITORS[:5], part="third")
        assert report(new) == report(old)
    for each in (embedded, above, below):
        each.check()


def test_a_database_of_postgresql_that_is_in_use_is_not_overwritten(
    embedded: Installed, tmp_path: Path, postgres: Databases
) -> None:
    embedded.done("backup", str(tmp_path / "up.db"))
    above = _above(embedded, tmp_path / "above", postgres)
    above.run_experiment(spring_mailing())
    refused = above.command("restore", str(tmp_path / "up.db"))
    assert (refused.returncode, "name an empty one" in refused.stderr) == (1, True)
    with above.opened() as installation:
        assert report(installation)["totals"][0]["visitors"] == 0
    other = "another secret, that is long enough as well"
    refused = above.command("restore", str(tmp_path / "up.db"), BESPOKE_SECRET=other)
    assert (refused.returncode, "another secret" in refused.stderr) == (1, True)
