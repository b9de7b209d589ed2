"""The intake: what takes events that were read where it is no database that does."""

from collections.abc import Mapping
from typing import Protocol

from experiments.events import Countable
from experiments.receipts import Receipt


class Intake(Protocol):
    """Takes the events of a sender, who is `trusted` or not."""

    def take(self, events: Mapping[int, Countable], *, trusted: bool) -> Mapping[int, Receipt]:
        """Keep events; what became of each, once that is certain."""
