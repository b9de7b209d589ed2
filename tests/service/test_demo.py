"""The demo, on a sample of its customers and a faster clock: all of it runs, and its figures are what the data say."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

import msgspec
import pytest

from experiments.document import parse_document
from experiments.errors import StorageLocked
from experiments.ledger import allocation_of
from experiments.storage.ledger import LedgerRow
from experiments.storage.sqlite import lock_for_serving
from experiments.verification import verify
from service.config import load_config
from service.demo.bookkeeping import Idle
from service.demo.bookkeeping import Miscounted
from service.demo.bookkeeping import check_counts
from service.demo.bookkeeping import check_reallocated
from service.demo.campaign import Counts
from service.demo.campaigns import UnknownCampaign
from service.demo.campaigns import campaign_named
from service.demo.campaigns import campaigns
from service.demo.confirmation import Unconfirmed
from service.demo.confirmation import check_verdict
from service.demo.conversation import Conversation
from service.demo.conversation import Unanswered
from service.demo.gain import gain_over
from service.demo.hillstrom import hillstrom
from service.demo.replay import counted
from service.demo.run import run_demo
from service.gallery.entries import gallery
from service.installation import open_installation
from service.requests.address import Address
from service.tables.customers import customers
from tests.service.conftest import Run
from tests.service.processes import Installed
from tests.service.processes import PATIENCE_SECONDS
from tests.service.processes import REPOSITORY
from tests.service.processes import free_port

HILLSTROM = hillstrom()
SAMPLE = {"limit": 3000, "rate": 432_000.0}


class Demo(NamedTuple):
    """Where it ran, what it said before it stayed, how its link was answered, and how it ended by Ctrl-C."""

    folder: Path
    said: str
    answer: int
    status: int


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo, once it has run, its link has been opened, and it has been interrupted."""
    folder = tmp_path_factory.mktemp("demo")
    script = f"""
from pathlib import Path
from service.demo.campaigns import campaign_named
from service.demo.run import run_demo
if __name__ == "__main__":
    run_demo(campaign_named("hillstrom"), seed=2, folder=Path("."), port={free_port()}, stay=True, **{SAMPLE})
"""
    (folder / "script.py").write_text(script)
    with subprocess.Popen(
        [sys.executable, "script.py"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            return watched(process, folder)
        finally:
            end_group(process.pid)


def watched(process: "subprocess.Popen[str]", folder: Path) -> Demo:
    """Read what it says until it stays up, open its link, and press Ctrl-C."""
    assert process.stdout
    said: list[str] = []
    while not (line := process.stdout.readline()).startswith("The server is up"):
        assert line, "".join(said)
        said.append(line)
    with urlopen(said[-1].removeprefix("Report: ").strip(), timeout=PATIENCE_SECONDS) as page:
        answer = page.status
    os.killpg(process.pid, signal.SIGINT)
    return Demo(folder, "".join(said), answer, process.wait(PATIENCE_SECONDS))


def end_group(leader: int) -> None:
    """Kill what may be left of a group of processes."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


@pytest.fixture
def ledger(demo: Demo) -> list[LedgerRow]:
    """What it left in the ledger."""
    installation = open_installation(load_config({"BESPOKE_DATABASE_URL": f"sqlite:///{demo.folder}/bespoke.db"}))
    try:
        assert verify(installation.store) == []
        return installation.store.read(lambda session: list(session.ledger.rows("hillstrom")))
    finally:
        installation.close()


def test_the_demo_tells_the_verdict_the_gain_and_the_address(demo: Demo) -> None:
    said = demo.said
    assert "womens-only" in said
    assert "panick" not in said
    assert "The report counts exactly these." in said
    assert len(re.findall(r"Gained over .*95 % interval", said)) == 2
    assert re.search(r"Report: http://127\.0\.0\.1:\d+/experiments/hillstrom\?link=\S+\n$", said)


def test_the_scheduler_reallocated_by_itself_on_the_way(ledger: list[LedgerRow]) -> None:
    bodies = [msgspec.json.decode(row.body) for row in ledger]
    assert [body["act"] for body in bodies] == ["start", *["reallocate"] * (len(bodies) - 2), "stop"]
    assert {body["actor"] for body in bodies if body["act"] == "reallocate"} == {"scheduler"}
    # How often depends on how quick the machine is: the campaign's time goes as fast as visitors are answered.
    assert len(bodies) > 5
    for row in ledger:
        assert all(sum(arms.values()) == 10_000 for arms in allocation_of(row).weights.values())


def test_about_a_third_of_the_customers_agree_with_the_log(demo: Demo) -> None:
    match = re.search(r"Posted: ([\d,]+) visitors", demo.said)
    assert match
    # Five standard deviations of a binomial of 3,000 and 1/3.
    assert abs(int(match[1].replace(",", "")) - 1000) < 130


def test_the_server_stays_up_and_its_link_works_until_it_is_interrupted(demo: Demo) -> None:
    assert (demo.answer, demo.status) == (200, 0)


def test_a_demo_that_still_runs_keeps_its_database(tmp_path: Path) -> None:
    (tmp_path / "bespoke.db").touch()
    with lock_for_serving(tmp_path / "bespoke.db"), pytest.raises(StorageLocked):
        run_demo(HILLSTROM, seed=1, folder=tmp_path, port=free_port(), stay=False)
    assert (tmp_path / "bespoke.db").exists()


def test_a_campaign_that_there_is_not_is_refused() -> None:
    with pytest.raises(UnknownCampaign, match="'criteo' must be one of hillstrom, also-bought, family-rewards"):
        campaign_named("criteo")


def test_the_campaign_is_a_document_that_works_and_names_the_logged_letters() -> None:
    experiment = parse_document(HILLSTROM.document)
    assert [arm.role for arm in experiment.arms] == ["control", "mass", "tailored"]
    assert {customer.arm for customer in customers(seed=1)} == set(HILLSTROM.arm_by_letter)
    assert set(HILLSTROM.arm_by_letter.values()) == set(experiment.arm_by_key)


def logged_counts() -> Counts:
    """All customers by segment and arm of the log."""
    counts: Counts = Counter()
    for customer in customers(seed=1):
        only_womens = customer.attributes["womens"] and not customer.attributes["mens"]
        segment = "womens-only" if only_womens else "everyone-else"
        counts += counted(customer, segment, arm=HILLSTROM.arm_by_letter[customer.arm])
    return counts


def test_the_counts_are_those_of_the_published_strata() -> None:
    counts = logged_counts()
    published = {"nothing": (9519, 912, 49), "mens-letter": (9568, 1592, 104), "womens-letter": (9647, 1638, 99)}
    for arm, figures in published.items():
        assert tuple(counts["womens-only", arm, what] for what in ("visitors", "visit", "purchase")) == figures


def test_nothing_is_gained_over_the_split_that_was_run() -> None:
    logged = logged_counts()
    shares = {"womens-only": {"nothing": 9519 / 28734, "mens-letter": 9568 / 28734, "womens-letter": 9647 / 28734}}
    gain = gain_over(shares, logged=logged, posted=logged)
    assert gain.reached == 28_734
    assert gain.actual == 912 + 1592 + 1638
    assert gain.mean == pytest.approx(0, abs=1e-9)


def test_the_gain_over_a_split_is_the_difference_of_what_was_and_what_would_have_been() -> None:
    logged: Counts = Counter({
        ("all", "a", "visitors"): 1000, ("all", "a", "visit"): 100,
        ("all", "b", "visitors"): 1000, ("all", "b", "visit"): 200,
    })
    posted: Counts = Counter({("all", "b", "visitors"): 400, ("all", "b", "visit"): 80})
    gain = gain_over({"all": {"a": 0.5, "b": 0.5}}, logged=logged, posted=posted)
    assert (gain.reached, gain.actual) == (400, 80)
    assert gain.even == pytest.approx(400 * 0.15)
    assert gain.mean == pytest.approx(20)
    # 400·.2·.8 of those reached, and 400²·(.5²·.1·.9 + .5²·.2·.8)/1000 of the split.
    assert gain.error**2 == pytest.approx(64 + 10)


def test_nobody_reached_is_no_gain() -> None:
    gain = gain_over({"all": {"a": 1.0}}, logged=Counter(), posted=Counter())
    assert gain == (0, 0, 0.0, 0.0)


def row(arm: str, *, segment: str | None, visitors: int, visits: int) -> dict[str, object]:
    """A row of a report without purchases."""
    sums = {"visit": visits, "purchase": 0, "spend": 0.0}
    metrics = {metric: {"sum": amount} for metric, amount in sums.items()}
    return {"segment": segment, "arm": arm, "visitors": visitors, "metrics": metrics, "suppressed": False}


@pytest.mark.parametrize("visits", [9, 11])
def test_a_report_that_counts_otherwise_than_was_posted_is_found_out(visits: int) -> None:
    posted: Counts = Counter({("all", "a", "visitors"): 100, ("all", "a", "visit"): 10})
    right, units = row("a", segment="all", visitors=100, visits=10), HILLSTROM.units
    total = row("a", segment=None, visitors=100, visits=10)
    check_counts({"arms": [right], "totals": [total]}, posted, units=units)
    with pytest.raises(Miscounted, match="all / a"):
        wrong = row("a", segment="all", visitors=100, visits=visits)
        check_counts({"arms": [wrong], "totals": [total]}, posted, units=units)
    with pytest.raises(Miscounted):
        check_counts({"arms": [right], "totals": []}, posted + posted, units=units)
    with pytest.raises(Miscounted, match="no row"):
        check_counts({"arms": [], "totals": []}, posted, units=units)


def test_a_scheduler_that_did_nothing_is_found_out() -> None:
    check_reallocated([{"actor": "sk_demo"}, {"actor": "scheduler"}])
    with pytest.raises(Idle, match="reallocated nothing"):
        check_reallocated([{"actor": "sk_demo"}])


def test_a_server_that_is_not_there_is_said_to_be_so() -> None:
    with pytest.raises(Unanswered, match="was not answered"):
        Conversation(Address("127.0.0.1", free_port()), "key").get("/healthz")


#: Those that are simulated; the one of real data is played above.
SIMULATED = [name for name in campaigns() if name != "hillstrom"]


def told_by_the_command(folder: Path, *arguments: str) -> str:
    """What `bespoke demo` says that ends as it should."""
    return Installed(folder).done("demo", "--exit", *arguments, BESPOKE_PORT=str(free_port()), patience_seconds=120)


@pytest.mark.long
@pytest.mark.parametrize("name", SIMULATED)
def test_a_campaign_of_the_gallery_ends_in_a_verdict_that_its_truth_confirms(tmp_path: Path, name: str) -> None:
    said = told_by_the_command(tmp_path, "--campaign", name)
    assert "The report counts exactly these." in said
    assert "What is true of the simulated visitors confirms the verdict." in said
    assert "Verified" in said and f"/experiments/{name}?link=" in said


def test_every_campaign_is_named_to_who_asks(run: Run) -> None:
    listed = run("demo", "--campaign", "help").out.splitlines()
    assert [line.partition(":")[0] for line in listed] == ["hillstrom", *gallery()]
    refused = run("demo", "--campaign", "family-reward")
    assert refused.status == 1
    assert "family-rewards" in refused.err


def test_a_verdict_that_is_not_true_or_has_not_come_is_found_out() -> None:
    truth = gallery()["family-rewards"].truth
    families = {"segment": "families", "call": "tailor", "arm": "double-points"}
    seniors = {"segment": "over-65", "call": "mass", "arm": "quiet-mornings"}
    others = {"segment": "everyone-else", "call": "mass", "arm": "ten-percent"}
    check_verdict({"segments": [families, seniors, others]}, truth)
    for call in ("mass", "keep_testing", "none"):
        with pytest.raises(Unconfirmed, match=f"families is called {call}, but tailor is true"):
            check_verdict({"segments": [{**families, "call": call}, seniors, others]}, truth)
    for call in ("tailor", "keep_testing"):
        with pytest.raises(Unconfirmed, match="over-65"):
            check_verdict({"segments": [families, {**seniors, "call": call}, others]}, truth)
