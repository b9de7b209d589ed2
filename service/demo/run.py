"""Run the demo: a fresh database, the real server, a campaign from its first customer to its report."""

import secrets
import time
from collections.abc import Mapping
from contextlib import closing
from contextlib import suppress
from pathlib import Path
from typing import Any
from typing import NamedTuple

import click

from experiments.errors import BespokeError
from experiments.audit import Deed
from experiments.keys import create_key
from experiments.storage.sqlite import lock_for_serving
from experiments.times import DAY_MS
from experiments.times import day_of
from experiments.verification import verify
from service.address import Address
from service.address import AddressTaken
from service.address import free_address
from service.clock import AcceleratedClock
from service.clock import SystemClock
from service.config import Config
from service.config import load_config
from service.customers import Customer
from service.demo.bookkeeping import check_counts
from service.demo.bookkeeping import check_reallocated
from service.demo.bookkeeping import totals
from service.demo.campaigns import Campaign
from service.demo.child import server
from service.demo.conversation import Conversation
from service.demo.gain import Gain
from service.demo.gain import gain_over
from service.demo.replay import Tally
from service.demo.replay import replay
from service.installation import open_installation
from service.links import report_link
from service.report_text import report_text
from service.signals import when_told_to_end

#: Half a day in a second.
RATE = 43_200.0

_HOST = "127.0.0.1"
_WINDOW_DAYS = 14
_AGO_DAYS = 90
_LOOK_SECONDS = 0.2


class Keys(NamedTuple):
    """The keys that the demo works with."""

    admin: str
    server: str


class Inconsistent(BespokeError):
    """The demo's database contradicts itself."""

    code = "inconsistent"


def run_demo(
    campaign: Campaign,
    *,
    seed: int,
    folder: Path,
    port: int,
    stay: bool,
    limit: int | None = None,
    rate: float = RATE,
) -> None:
    """Run a campaign; `limit` takes only the first so many customers, `stay` leaves the server up until Ctrl-C.

    `rate` says how fast its clock runs.

    :raises BespokeError: if anything at all was not as it must be.
    """
    settings = _fresh(folder)
    config = load_config(settings)
    address = _address(port)
    clock = _clock_from(SystemClock().now_ms() - _AGO_DAYS * DAY_MS, rate=rate)
    customers = campaign.customers(seed)[:limit]
    keys = _keys(config, clock)
    click.echo(f"{campaign.title}: {len(customers):,} customers, seed {seed}")
    click.echo(f"Server {address}, database {settings['BESPOKE_DATABASE_URL']}")
    with server(settings, address=address, clock=clock):
        _campaign(campaign, customers, address=address, keys=keys, clock=clock)
    if problems := _verified(config):
        raise Inconsistent("; ".join(problems))
    click.echo("Verified: counters and ledger agree with the events.")
    click.echo(f"Report: {_link(campaign, config, address=address, clock=clock)}")
    if stay:
        _serve_on(settings, address=address, clock=clock)


def _fresh(folder: Path) -> dict[str, str]:
    """The settings of a database that is not there yet.

    :raises StorageLocked: if a demo is still running on the one that was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bespoke.db"
    with lock_for_serving(path):
        for leftover in folder.glob("bespoke.db*"):
            leftover.unlink()
    return {"BESPOKE_DATABASE_URL": f"sqlite:///{path}", "BESPOKE_LOG_LEVEL": "warning"}


def _address(port: int) -> Address:
    """The port that the settings name, or any other where something else is there."""
    with suppress(AddressTaken):
        return free_address(_HOST, port)
    return free_address(_HOST, 0)


def _clock_from(now_ms: int, *, rate: float) -> AcceleratedClock:
    return AcceleratedClock(origin_real_ms=SystemClock().now_ms(), origin_ms=now_ms, rate=rate)


def _keys(config: Config, clock: AcceleratedClock) -> Keys:
    installation = open_installation(config, clock=clock, serving=True)
    try:
        made = (
            create_key(
                installation.store,
                scope=scope,
                name="demo",
                origins=(),
                random=secrets.token_bytes,
                deed=Deed("demo", clock.now_ms()),
            )
            for scope in Keys._fields
        )
        return Keys(*made)
    finally:
        installation.close()


def _campaign(
    campaign: Campaign, customers: list[Customer], *, address: Address, keys: Keys, clock: AcceleratedClock
) -> None:
    """The campaign from its document to its report, all of it over HTTP."""
    place = f"/v1/experiments/{campaign.key}"
    with closing(Conversation(address, keys.admin)) as admin:
        admin.post("/v1/experiments", campaign.document)
        admin.post(f"{place}/start")
    tally = _replay(campaign, customers, address=address, key=keys.server)
    # A new conversation each: a server hangs up on who is silent for long.
    with closing(Conversation(address, keys.admin)) as admin:
        admin.post(f"{place}/stop")
    _let_mature(clock)
    with closing(Conversation(address, keys.admin)) as admin:
        report = admin.get(f"{place}/report")
        ledger = admin.get(f"{place}/allocations")["allocations"]
    check_counts(report, tally.posted)
    check_reallocated(ledger)
    _tell(report, ledger, tally)


def _replay(campaign: Campaign, customers: list[Customer], *, address: Address, key: str) -> Tally:
    with click.progressbar(length=len(customers), label="Customers ask, outcomes come") as bar:
        return replay(customers, campaign, address=address, key=key, progress=bar.update)


def _let_mature(clock: AcceleratedClock) -> None:
    """Wait until the windows of all who came on the last day have ended."""
    begun_ms = clock.now_ms()
    length = (day_of(begun_ms) + 1 + _WINDOW_DAYS) * DAY_MS - begun_ms
    shown = 0
    with click.progressbar(length=length, label="The last windows mature ") as bar:
        while shown < length:
            time.sleep(_LOOK_SECONDS)
            passed = min(clock.now_ms() - begun_ms, length)
            bar.update(passed - shown)
            shown = passed


def _tell(report: Mapping[str, Any], ledger: list[dict[str, Any]], tally: Tally) -> None:
    sent = totals(tally.posted)
    published = sum(row["kind"] == "published" for row in ledger)
    click.echo(f"\n{report_text(report).rstrip()}\n")
    click.echo(
        f"Posted: {sent['visitors']:,} visitors, {sent['visit']:,} visits, {sent['purchase']:,} purchases, "
        f"{sent['spend'] / 100:,.2f} {report['currency']}. The report counts exactly these."
    )
    looks = sum(row["act"] == "reallocate" for row in ledger)
    click.echo(f"The scheduler reallocated {looks} times; {published} epochs were published.")
    start = ledger[0]["weights"]
    all_arms = {segment: dict.fromkeys(arms, 1 / len(arms)) for segment, arms in start.items()}
    _tell_gain("the letters evenly, no e-mail as it was", _gain(start, tally))
    _tell_gain("every arm evenly, no e-mail too", _gain(all_arms, tally))


def _gain(shares: Mapping[str, Mapping[str, float]], tally: Tally) -> Gain:
    return gain_over(shares, logged=tally.logged, posted=tally.posted)


def _tell_gain(divided: str, gain: Gain) -> None:
    low, high = gain.interval
    click.echo(
        f"Gained over a split of {divided}: {gain.mean:+,.0f} visits on {gain.even:,.0f} "
        f"(95 % interval {low:+,.0f} to {high:+,.0f})."
    )


def _verified(config: Config) -> list[str]:
    installation = open_installation(config)
    try:
        return verify(installation.store)
    finally:
        installation.close()


def _link(campaign: Campaign, config: Config, *, address: Address, clock: AcceleratedClock) -> str:
    """The address of the report's page, good by the demo's clock and by the machine's."""
    installation = open_installation(config, clock=clock)
    try:
        now_ms = max(clock.now_ms(), SystemClock().now_ms())
        expires_ms = now_ms + config.link_lifetime_seconds * 1000
        return report_link(campaign.key, address=str(address), expires_ms=expires_ms, keyring=installation.keyring)
    finally:
        installation.close()


def _serve_on(settings: Mapping[str, str], *, address: Address, clock: AcceleratedClock) -> None:
    """Serve at the ordinary pace until Ctrl-C: half a day in a second is no pace to read a report at."""
    pace = _clock_from(clock.now_ms(), rate=1.0)
    with server(settings, address=address, clock=pace) as process:
        when_told_to_end(process.terminate)
        click.echo("The server is up; Ctrl-C ends it.")
        process.join()
