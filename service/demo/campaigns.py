"""The campaigns that the demo knows: an experiment, its customers, and which arm each logged letter was."""

from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from experiments.errors import BespokeError
from experiments.errors import shown
from service.customers import Customer
from service.customers import customers

_DATA = Path(__file__).parents[1] / "data"


class UnknownCampaign(BespokeError):
    """The demo has no campaign of this name."""

    code = "unknown_campaign"


@dataclass(frozen=True)
class Campaign:
    """What a demo runs; `customers` draws their order from a seed."""

    title: str
    document: Mapping[str, Any]
    arm_by_letter: Mapping[str, str]
    customers: Callable[[int], list[Customer]]

    @property
    def key(self) -> str:
        """The experiment's key."""
        return str(self.document["key"])


def _hillstrom() -> Campaign:
    return Campaign(
        title="Hillstrom's e-mail experiment (2008)",
        document=msgspec.json.decode((_DATA / "hillstrom_campaign.json").read_bytes()),
        arm_by_letter={"No E-Mail": "nothing", "Mens E-Mail": "mens-letter", "Womens E-Mail": "womens-letter"},
        customers=customers,
    )


_CAMPAIGNS = {"hillstrom": _hillstrom}


def campaign_named(name: str) -> Campaign:
    """The campaign of a name.

    :raises UnknownCampaign: naming those that there are.
    """
    if name not in _CAMPAIGNS:
        raise UnknownCampaign(f"campaign: {shown(name)} must be one of {', '.join(_CAMPAIGNS)}")
    return _CAMPAIGNS[name]()
