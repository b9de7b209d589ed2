"""The campaigns that the demo knows: Hillstrom's real one, and those of the gallery, whose visitors are simulated."""

from collections.abc import Callable
from collections.abc import Mapping
from functools import partial

from experiments.errors import BespokeError
from experiments.errors import shown
from service.demo.campaign import Campaign
from service.demo.hillstrom import hillstrom
from service.demo.simulated import simulated
from service.gallery.entries import gallery


class UnknownCampaign(BespokeError):
    """The demo has no campaign of this name."""

    code = "unknown_campaign"


def campaign_named(name: str) -> Campaign:
    """The campaign of a name.

    :raises UnknownCampaign: naming those that there are.
    """
    known = campaigns()
    if name not in known:
        raise UnknownCampaign(f"campaign: {shown(name)} must be one of {', '.join(known)}")
    return known[name]()


def campaigns() -> Mapping[str, Callable[[], Campaign]]:
    """What makes each campaign, by name; the default first."""
    return {"hillstrom": hillstrom, **{name: partial(simulated, entry) for name, entry in gallery().items()}}
