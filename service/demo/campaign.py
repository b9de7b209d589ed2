"""What the demo asks of a campaign, whoever its visitors are."""

from abc import ABC
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import NamedTuple

from experiments.document import parse_document
from service.operation.clock import Clock
from service.requests.address import Address

#: What is counted of visitors, by (segment, arm, "visitors" or a metric), in the campaign's units.
Counts = Counter[tuple[str, str, str]]


@dataclass
class Tally:
    """What a campaign has met: `logged` counts everybody by the arm on record, `posted` those of whom was told."""

    asked: int = 0
    logged: Counts = field(default_factory=Counter)
    posted: Counts = field(default_factory=Counter)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.asked + other.asked, self.logged + other.logged, self.posted + other.posted)


class Place(NamedTuple):
    """Where a campaign is run: a server, a key that it believes, and the clock that it goes by."""

    address: Address
    key: str
    clock: Clock


@dataclass(frozen=True)
class Campaign(ABC):
    """A campaign that the demo can run.

    Attributes:
        title: what it is.
        document: the experiment's.
        size: how many visitors it has.
        rate: how fast the clock runs, unless another rate is asked for.
        units: the metrics that are compared with the report, each with its smallest units in one.
    """

    title: str
    document: Mapping[str, Any]
    size: int
    rate: float
    units: Mapping[str, int]

    @property
    def key(self) -> str:
        """The experiment's key."""
        return str(self.document["key"])

    @property
    def window_ms(self) -> int:
        """How long after a visitor comes there may still be something to count."""
        return max(metric.window_seconds for metric in parse_document(dict(self.document)).metrics) * 1000

    @abstractmethod
    def bring(self, place: Place, *, seed: int, limit: int) -> Tally:
        """Bring so many visitors before the server, and tell it what they do."""

    @abstractmethod
    def tell(self, report: Mapping[str, Any], ledger: Sequence[Mapping[str, Any]], tally: Tally) -> None:
        """Tell what came of it, once the report has been told.

        :raises BespokeError: if that is not what is known to be true.
        """
