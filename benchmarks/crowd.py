"""A campaign that more and more visitors have been exposed to, over the last month, one in twenty of whom ordered."""

import itertools
from collections.abc import Iterator
from typing import Any

from benchmarks.mailing import KEY
from benchmarks.mailing import ORDER
from benchmarks.mailing import Customer
from benchmarks.mailing import customers
from benchmarks.rounds import say
from experiments.assignment import decide
from experiments.recording import Sender
from experiments.recording import record
from experiments.times import DAY_MS
from experiments.times import iso
from service.installation import Installation

_BATCH = 2_000
_SAID = 10 * _BATCH
_DAYS = 30
_ORDERS = 20
_KEPT = 1_000

Event = dict[str, Any]


class Crowd:
    """The visitors of one installation; `met` are some of the last who came."""

    def __init__(self, installation: Installation, *, most: int) -> None:
        entry = installation.snapshots.latest.entries[KEY]
        assert entry.plan is not None, "the experiment runs"
        self.size = 0
        self.met: list[Customer] = []
        self._installation = installation
        self._plan = entry.plan
        self._coming = customers(most, seed=3)

    def grow(self, size: int) -> None:
        """Let visitors come until there are so many, by the way that events come in."""
        every = max(1, (size - self.size) // _KEPT)
        self.met = []
        while self.size < size:
            if self.size % _SAID == 0:
                say(f"filling: {self.size:,} of {size:,} visitors")
            came = list(itertools.islice(self._coming, min(_BATCH, size - self.size)))
            self.met += [each for place, each in enumerate(came, self.size) if place % every == 0]
            self._record(came)
            self.size += len(came)

    def _record(self, came: list[Customer]) -> None:
        now_ms = self._installation.clock.now_ms()
        receipts = record(
            self._installation.store,
            self._installation.snapshots,
            items=list(self._events(came, now_ms)),
            sent_at=None,
            sender=Sender(trusted=True, received_ms=now_ms),
            terms=self._installation.terms(),
            keyring=self._installation.keyring,
            fresh_id=lambda: bytes(16),
        )
        assert {receipt.status for receipt in receipts} == {"accepted"}, receipts[0]

    def _events(self, came: list[Customer], now_ms: int) -> Iterator[Event]:
        for place, customer in enumerate(came, self.size):
            at = iso(now_ms - place % _DAYS * DAY_MS)
            arm = decide(self._plan, customer.id, attributes=customer.attributes).arm
            reached = {"experiment_id": KEY, "variation_id": arm}
            yield _event(customer, "Experiment Viewed", at, reached, traits=customer.attributes)
            if place % _ORDERS == 0:
                yield _event(customer, ORDER, at, {"revenue": 59.9})


def _event(customer: Customer, name: str, at: str, properties: Event, **context: object) -> Event:
    return {
        "type": "track", "userId": customer.id, "messageId": name, "event": name, "timestamp": at,
        "properties": properties, "context": context,
    }
