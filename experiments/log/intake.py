"""The intake: what takes events that were read where it is no database that does."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Protocol
from typing import TypeVar

from experiments.events import Countable
from experiments.receipts import Receipt
from experiments.storage.session import Session

T = TypeVar("T")


class Intake(Protocol):
    """Takes the events of a sender, who is `trusted` or not."""

    def take(self, events: Mapping[int, Countable], *, trusted: bool) -> Mapping[int, Receipt]:
        """Keep events; what became of each, once that is certain."""

    def asked(self, visitors: Collection[bytes], question: Callable[[Session, Sequence[bytes]], T]) -> list[T]:
        """What each database answers of those of some visitors who are in it."""
