"""Sources of outcomes: what is asked again and again for events that it has, each of which counts once.

How far a source was read is kept once its events are on disk. A process that is killed between the two asks for the
same events again, which their ids tell to be the same.
"""

import hashlib
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import msgspec

from experiments.errands import run_errand
from experiments.receipts import Receipt
from experiments.storage.errands import ErrandRow
from experiments.storage.store import Store

#: A source that had nothing is asked again after so long.
EVERY_MS = 10_000

_MOST_EVENTS = 1_000

Event = Mapping[str, Any]


class Fetched(NamedTuple):
    """Events as Segment's clients send them, with a `messageId` each, and a text from which the source goes on."""

    events: Sequence[Event]
    reached: str


#: Asked with the text that it gave last, at first an empty one; it may raise, and is asked the same again later.
OutcomeSource = Callable[[str], Fetched]


def fetch(
    store: Store,
    name: str,
    source: OutcomeSource,
    *,
    record: Callable[[Sequence[Event]], Sequence[Receipt]],
    now_ms: int,
) -> ErrandRow | None:
    """Ask a source that is due, and record what it has; how it went, None where it had nothing or is not due."""

    def work(found: ErrandRow) -> ErrandRow | None:
        fetched = source(found.reached)
        if not fetched.events and fetched.reached == found.reached:
            return None
        fault = _recorded(fetched.events, record)
        return found._replace(due_ms=now_ms, failures=0, fault=fault, reached=str(fetched.reached))

    return run_errand(store, name, work, now_ms=now_ms, every_ms=EVERY_MS)


def _recorded(events: Sequence[Event], record: Callable[[Sequence[Event]], Sequence[Receipt]]) -> str:
    """Record events in batches; what was rejected, in a sentence, empty where nothing was."""
    named = [_named(event) for event in events]
    batches = (named[start : start + _MOST_EVENTS] for start in range(0, len(named), _MOST_EVENTS))
    rejected = [one for batch in batches for one in record(batch) if one.status == "rejected"]
    if not rejected:
        return ""
    return f"{len(rejected)} of {len(named)} events were rejected, the first as {rejected[0].code}"


def _named(event: Event) -> Event:
    """The event with an id; one that comes without is known by what it says."""
    return event if "messageId" in event else {**event, "messageId": derived_id(event)}


def derived_id(said: Event) -> str:
    """The same id for the same words."""
    return "row-" + hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()
