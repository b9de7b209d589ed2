"""Replay logged, randomised customers against a server that decides for itself.

Where the server's arm is the one that the customer was given then, what came of it is known, and is posted; where it is
not, the customer is passed over. Since the logged arms were drawn evenly and without regard to anything, those who
agree are a fair sample of whom the server would have reached (L. Li, W. Chu, J. Langford, X. Wang 2011, Unbiased
offline evaluation of contextual-bandit-based news article recommendation algorithms, https://arxiv.org/abs/1003.5956).
"""

from collections import Counter
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait
from threading import Event
from typing import Any
from typing import NamedTuple

from service.demo.campaign import Counts
from service.demo.campaign import Place
from service.demo.campaign import Tally
from service.demo.conversation import Conversation
from service.demo.conversation import Unanswered
from service.tables.customers import Customer

_THREADS = 4
_BATCH = 20
_LOOK_SECONDS = 0.2


class Log(NamedTuple):
    """The experiment that is asked in place of the one that was, and which of its arms each logged letter is."""

    experiment: str
    arm_by_letter: Mapping[str, str]


def replay(customers: Sequence[Customer], log: Log, place: Place, *, progress: Callable[[int], None]) -> Tally:
    """Bring the customers before the server, about in order; `progress` hears how many more have been.

    :raises Unanswered: if the server refuses anything.
    """
    ended = Event()
    shares = [customers[first::_THREADS] for first in range(_THREADS)]
    parts = [_Part(share, log, Conversation(place.address, place.key), ended) for share in shares]
    with ThreadPoolExecutor(_THREADS) as pool:
        works = [pool.submit(part.run) for part in parts]
        try:
            _watch(works, parts, progress=progress)
        finally:
            ended.set()
    for work in works:
        work.result()
    return sum((part.tally for part in parts), Tally())


def _watch(works: Sequence[Future[None]], parts: Sequence["_Part"], *, progress: Callable[[int], None]) -> None:
    shown = 0
    going = True
    while going:
        going = bool(wait(works, timeout=_LOOK_SECONDS).not_done)
        asked = sum(part.tally.asked for part in parts)
        progress(asked - shown)
        shown = asked


class _Part:
    """Some of the customers, over one connection."""

    def __init__(self, customers: Sequence[Customer], log: Log, conversation: Conversation, ended: Event) -> None:
        self.tally = Tally()
        self._customers = customers
        self._log = log
        self._conversation = conversation
        self._ended = ended
        self._waiting: list[dict[str, Any]] = []

    def run(self) -> None:
        """Bring every customer; where one cannot be, the other parts need not go on either."""
        try:
            for customer in self._customers:
                if self._ended.is_set():
                    return
                self._meet(customer)
            self._post()
        finally:
            if self.tally.asked < len(self._customers):
                self._ended.set()
            self._conversation.close()

    def _meet(self, customer: Customer) -> None:
        context = {"targetingKey": customer.id, **customer.attributes}
        answer = self._conversation.post(f"/ofrep/v1/evaluate/flags/{self._log.experiment}", {"context": context})
        letter, segment = self._log.arm_by_letter[customer.arm], answer["metadata"]["segment"]
        counts = counted(customer, segment, arm=letter)
        self.tally.asked += 1
        self.tally.logged += counts
        if answer["variant"] == letter:
            self.tally.posted += counts
            self._waiting.extend(_events(customer, self._log.experiment, token=answer["metadata"]["token"]))
        if len(self._waiting) >= _BATCH:
            self._post()

    def _post(self) -> None:
        answer = self._conversation.post("/v1/batch", {"batch": self._waiting})
        if answer["accepted"] != len(self._waiting):
            raise Unanswered(f"of {len(self._waiting)} events the server did not accept {answer['items']}")
        self._waiting.clear()


def counted(customer: Customer, segment: str, *, arm: str) -> Counts:
    """What one customer adds to the counts of a segment and an arm."""
    amounts = {
        "visitors": 1,
        "visit": int(customer.visit),
        "purchase": int(customer.conversion),
        "spend": int(customer.spend * 100),
    }
    return Counter({(segment, arm, what): amount for what, amount in amounts.items() if amount})


def _events(customer: Customer, experiment: str, *, token: str) -> Iterator[dict[str, Any]]:
    """The exposure, and what came of it: all at once, since the log does not say on which day."""
    yield _event(customer, "Experiment Viewed", experiment_id=experiment, token=token)
    if customer.visit:
        yield _event(customer, "Shop Visited")
    if customer.conversion:
        yield _event(customer, "Order Completed", revenue=float(customer.spend))


def _event(customer: Customer, name: str, **properties: object) -> dict[str, Any]:
    identity = f"{customer.id} {name}"
    return {"type": "track", "userId": customer.id, "messageId": identity, "event": name, "properties": properties}
