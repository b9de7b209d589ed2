"""Events of several senders, in batches of any size applied together, leave what one after another leaves."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from experiments.errors import RejectedEvent
from experiments.events import Event
from experiments.events import SilentEvent
from experiments.events import Terms
from experiments.events import read_event
from experiments.receipts import Receipt
from experiments.recording import Applying
from experiments.recording import Batch
from experiments.storage.store import Store
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from experiments.times import iso
from experiments.verification import verify
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny
from tests.experiments.house import DAY
from tests.experiments.house import SECRETS
from tests.experiments.house import START
from tests.experiments.house import House

TABLES = ("events", "exposures", "totals", "waiting", "cells", "lags", "counters")
#: The second experiment hears servers only, and its window is shorter.
HEARS_SERVERS = tiny(metrics=[
    {"key": "signup", "event": "Order Completed", "kind": "conversion", "role": "goal", "source": "server",
     "window": "5d"},
])

_ids = st.sampled_from(["1", "2", "3", None])
_days = st.integers(0, 25)
_exposures = st.fixed_dictionaries({
    "event": st.just("Experiment Viewed"),
    "experiment_id": st.sampled_from(["spring-mailing", "tiny", "none"]),
    "variation_id": st.sampled_from([None, "one-letter", "everyone", "what"]),
    "token": st.booleans(),
})
_outcomes = st.fixed_dictionaries({
    "event": st.sampled_from(["Order Completed", "Order Completed", "Page Viewed", "Unsubscribed", "Never Heard Of"]),
    "revenue": st.sampled_from([0, 1, 0.285, 300, "much"]),
})
#: (visitor, id, day it happened, day it was received, what, whether a server says so)
_sent = st.tuples(
    st.sampled_from(["ann", "bob"]), _ids, _days, st.sampled_from([5, 25, 60]), _exposures | _outcomes, st.booleans()
)
Sent = tuple[str, str | None, int, int, dict[str, Any], bool]


@settings(max_examples=50)
@given(sent=st.lists(_sent, min_size=1, max_size=25), data=st.data())
def test_batches_applied_together_leave_what_one_after_another_leaves(sent: list[Sent], data: st.DataObject) -> None:
    with _opened() as alone, _opened() as together:
        one_by_one, at_once = House(alone), House(together)
        for house in (one_by_one, at_once):
            house.start(spring_mailing())
            house.start(HEARS_SERVERS)
        batches = [
            Batch([event], trusted)
            for number, (*told, trusted) in enumerate(sent)
            if (event := _event(one_by_one, number, *told)) is not None
        ]
        receipts = [receipt for batch in batches for receipt in _applied(one_by_one, [batch])]
        size = data.draw(st.integers(1, len(sent)))
        groups = [_joined(batches[start : start + size]) for start in range(0, len(batches), size)]
        assert [receipt for group in groups for receipt in _applied(at_once, group)] == receipts
        assert _left(together) == _left(alone)
        assert verify(together) == []


@contextmanager
def _opened() -> Iterator[Store]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bespoke.db"
        migrate_database(path, fingerprint=SECRETS.fingerprint)
        store = open_store(path, fingerprint=SECRETS.fingerprint)
        try:
            yield store
        finally:
            store.close()


def _event(
    house: House, number: int, visitor: str, id: str | None, day: int, received: int, what: dict[str, Any]
) -> Event | None:
    """The event as it is read, or None where the reader answers it by itself."""
    name, properties = what["event"], {field: value for field, value in what.items() if field != "event"}
    if properties.get("token"):
        key = properties["experiment_id"]
        properties["token"] = house.evaluate("tiny" if key == "none" else key, visitor).token
    else:
        properties.pop("token", None)
    item = {"userId": visitor, "messageId": id, "event": name, "properties": properties}
    try:
        event = read_event(
            {**item, "timestamp": iso(START + day * DAY)},
            received_ms=START + received * DAY,
            sent_at=None,
            fresh_id=lambda: number.to_bytes(16, "big"),
            terms=Terms("personalise", 90 * 86_400),
        )
    except RejectedEvent:
        return None
    return None if isinstance(event, SilentEvent) else event


def _joined(batches: list[Batch]) -> list[Batch]:
    """Neighbours of the same sender as one batch."""
    joined: list[Batch] = []
    for batch in batches:
        if joined and joined[-1].trusted == batch.trusted:
            joined[-1] = Batch([*joined[-1].events, *batch.events], batch.trusted)
        else:
            joined.append(batch)
    return joined


def _applied(house: House, batches: list[Batch]) -> list[Receipt]:
    work = Applying(house.snapshots, SECRETS)
    return [receipt for batch in house.store.transact(lambda session: work(session, batches)) for receipt in batch]


def _left(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Every row that events leave."""
    return store.read(
        lambda session: {
            table: sorted(session.connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for table in TABLES
        }
    )
