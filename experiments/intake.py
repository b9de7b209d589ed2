"""The intake: what takes events that were read where it is no database that does."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Protocol

from experiments.events import Countable
from experiments.receipts import Receipt
from experiments.storage.visitors import ExposureRow


class Intake(Protocol):
    """Takes the events of a sender, who is `trusted` or not."""

    def take(self, events: Mapping[int, Countable], *, trusted: bool) -> Mapping[int, Receipt]:
        """Keep events; what became of each, once that is certain."""

    def exposed(self, experiment: str, visitors: Sequence[bytes]) -> list[tuple[bytes, ExposureRow]]:
        """The exposures of those of some visitors who have one."""
