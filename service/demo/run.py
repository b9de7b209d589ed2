"""Run the demo: a fresh database, the real server, a campaign from its first visitor to its report."""

import secrets
import time
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import closing
from contextlib import suppress
from pathlib import Path
from typing import Any
from typing import NamedTuple

import click

from experiments.audit import Deed
from experiments.errors import BespokeError
from experiments.keys import create_key
from experiments.storage.sqlite import lock_for_serving
from experiments.times import DAY_MS
from experiments.times import day_of
from experiments.verification import verify
from service.config import Config
from service.config import load_config
from service.demo.bookkeeping import check_counts
from service.demo.bookkeeping import check_reallocated
from service.demo.bookkeeping import total
from service.demo.campaign import Campaign
from service.demo.campaign import Place
from service.demo.campaign import Tally
from service.demo.child import server
from service.demo.conversation import Conversation
from service.installation import open_installation
from service.operation.clock import AcceleratedClock
from service.operation.clock import Clock
from service.operation.clock import SystemClock
from service.operation.signals import when_told_to_end
from service.people.links import report_link
from service.report.text import report_text
from service.requests.address import Address
from service.requests.address import AddressTaken
from service.requests.address import free_address

_HOST = "127.0.0.1"
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
    rate: float | None = None,
) -> None:
    """Run a campaign; `limit` takes only the first so many visitors, `stay` leaves the server up until Ctrl-C.

    `rate` says how fast its clock runs, in place of the campaign's own.

    :raises BespokeError: if anything at all was not as it must be.
    """
    settings = _fresh(folder)
    config = load_config(settings)
    address = _address(port)
    clock = _clock_from(SystemClock().now_ms() - _AGO_DAYS * DAY_MS, rate=rate or campaign.rate)
    size = min(limit or campaign.size, campaign.size)
    keys = _keys(config, clock)
    click.echo(f"{campaign.title}: {size:,} visitors, seed {seed}")
    click.echo(f"Server {address}, database {settings['BESPOKE_DATABASE_URL']}")
    with server(settings, address=address, clock=clock):
        _campaign(campaign, Place(address, keys.server, clock), admin_key=keys.admin, seed=seed, limit=size)
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


def _campaign(campaign: Campaign, place: Place, *, admin_key: str, seed: int, limit: int) -> None:
    """The campaign from its document to its report, all of it over HTTP."""
    path = f"/v1/experiments/{campaign.key}"
    with closing(Conversation(place.address, admin_key)) as admin:
        admin.post("/v1/experiments", campaign.document)
        admin.post(f"{path}/start")
    tally = campaign.bring(place, seed=seed, limit=limit)
    # A new conversation each: a server hangs up on who is silent for long.
    with closing(Conversation(place.address, admin_key)) as admin:
        admin.post(f"{path}/stop")
    _let_mature(place.clock, window_ms=campaign.window_ms)
    with closing(Conversation(place.address, admin_key)) as admin:
        report = admin.get(f"{path}/report")
        ledger = admin.get(f"{path}/allocations")["allocations"]
    check_counts(report, tally.posted, units=campaign.units)
    check_reallocated(ledger)
    click.echo(f"\n{report_text(report).rstrip()}\n")
    _tell(ledger, tally)
    campaign.tell(report, ledger, tally)


def _tell(ledger: Sequence[Mapping[str, Any]], tally: Tally) -> None:
    click.echo(f"Posted: {total(tally.posted, 'visitors'):,} visitors. The report counts exactly these.")
    looks = sum(row["act"] == "reallocate" for row in ledger)
    published = sum(row["kind"] == "published" for row in ledger)
    click.echo(f"The scheduler reallocated {looks} times; {published} epochs were published.")


def _let_mature(clock: Clock, *, window_ms: int) -> None:
    """Wait until the windows of all who came on the last day have ended."""
    begun_ms = clock.now_ms()
    length = (day_of(begun_ms) + 1) * DAY_MS + window_ms - begun_ms
    shown = 0
    with click.progressbar(length=length, label="The last windows mature ") as bar:
        while shown < length:
            time.sleep(_LOOK_SECONDS)
            passed = min(clock.now_ms() - begun_ms, length)
            bar.update(passed - shown)
            shown = passed


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
