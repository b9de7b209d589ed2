"""Hillstrom's e-mail experiment (2008): real customers, with what really came of the letter that each was sent."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec

from service.demo.bookkeeping import total
from service.demo.campaign import Campaign
from service.demo.campaign import Place
from service.demo.campaign import Tally
from service.demo.gain import Gain
from service.demo.gain import gain_over
from service.demo.replay import Log
from service.demo.replay import replay
from service.tables.customers import customers

_DOCUMENT = Path(__file__).parents[1] / "data" / "hillstrom_campaign.json"


@dataclass(frozen=True)
class Hillstrom(Campaign):
    """The campaign; `arm_by_letter` says which arm each logged letter is."""

    arm_by_letter: Mapping[str, str]

    def bring(self, place: Place, *, seed: int, limit: int) -> Tally:
        """Bring so many customers before the server, in an order drawn from the seed."""
        chosen = customers(seed)[:limit]
        with click.progressbar(length=len(chosen), label="Customers ask, outcomes come") as bar:
            return replay(chosen, Log(self.key, self.arm_by_letter), place, progress=bar.update)

    def tell(self, report: Mapping[str, Any], ledger: Sequence[Mapping[str, Any]], tally: Tally) -> None:
        """Tell what customers did, and what moving traffic gained of it."""
        sent = {what: total(tally.posted, what) for what in self.units}
        spend = f"{sent['spend'] / 100:,.2f} {report['currency']}"
        click.echo(f"They made {sent['visit']:,} visits and {sent['purchase']:,} purchases, and spent {spend}.")
        start = ledger[0]["weights"]
        all_arms = {segment: dict.fromkeys(arms, 1 / len(arms)) for segment, arms in start.items()}
        _tell_gain("the letters evenly, no e-mail as it was", _gain(start, tally))
        _tell_gain("every arm evenly, no e-mail too", _gain(all_arms, tally))


def hillstrom() -> Hillstrom:
    """The campaign, on a clock that runs half a day in a second."""
    return Hillstrom(
        title="Hillstrom's e-mail experiment (2008)",
        document=msgspec.json.decode(_DOCUMENT.read_bytes()),
        size=64_000,
        rate=43_200.0,
        units={"visit": 1, "purchase": 1, "spend": 100},
        arm_by_letter={"No E-Mail": "nothing", "Mens E-Mail": "mens-letter", "Womens E-Mail": "womens-letter"},
    )


def _gain(shares: Mapping[str, Mapping[str, float]], tally: Tally) -> Gain:
    return gain_over(shares, logged=tally.logged, posted=tally.posted)


def _tell_gain(divided: str, gain: Gain) -> None:
    low, high = gain.interval
    click.echo(
        f"Gained over a split of {divided}: {gain.mean:+,.0f} visits on {gain.even:,.0f} "
        f"(95 % interval {low:+,.0f} to {high:+,.0f})."
    )
