"""How many events a second are on disk when they are answered: in batches, and one by one?

Half of them are exposures with tokens and half are orders, each from a visitor that is met once. Batches of 500 stand
beside `executemany` of the same events into one table with a unique id, without a server, and single calls beside a
Flask app that commits each request, served by granian as we are. All commit to the same disk, synchronous=FULL and WAL.
"""

import random
import sys
import time
from collections import deque
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import ExitStack
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from benchmarks import load
from benchmarks.cores import SERVING
from benchmarks.cores import on_core
from benchmarks.mailing import KEY
from benchmarks.mailing import ORDER
from benchmarks.mailing import Customer
from benchmarks.mailing import customers
from benchmarks.mailing import document
from benchmarks.one_commit import INSERT
from benchmarks.one_commit import opened
from benchmarks.peers import joined
from benchmarks.peers import process
from benchmarks.rounds import alternate
from benchmarks.rounds import say
from benchmarks.rows import PER_SECOND
from benchmarks.rows import Bound
from benchmarks.rows import Row
from benchmarks.site import Site
from benchmarks.site import assigned
from benchmarks.site import site
from benchmarks.size import Size
from tests.service.processes import free_port

BATCH = 500
_BATCH_CONNECTIONS = 4
_SINGLE_CONNECTIONS = 64
#: More single events than any server takes in a second of a round: an event that comes again costs less.
_SINGLES_A_SECOND = 20_000

#: Visitors between an exposure and its order, which could overtake it on another connection.
_LATER = 250

Event = dict[str, Any]


def measure(size: Size) -> Iterator[Row]:
    """Batches, then single calls, each with a database of its own."""
    with site(document()) as ours:
        yield _batches(ours, size)
    with site(document()) as ours:
        yield _singles(ours, size)


def _batches(ours: Site, size: Size) -> Row:
    events = list(events_of(ours, size.rounds * size.batches * BATCH, what="batches"))
    batches = [events[first:first + BATCH] for first in range(0, len(events), BATCH)]
    key = ours.key("client")
    requests = (load.request("/v1/batch", {"batch": each}, key=key) for each in batches)
    path = load.write(ours.folder / "batches", requests)
    raw = opened(str(ours.folder / "raw.db"))
    with ours.serving() as server:

        def acknowledged(number: int) -> float:
            first = number * size.batches
            asked = load.run(
                path, server.port, connections=_BATCH_CONNECTIONS, first=first, limit=size.batches
            )
            return asked.per_second * BATCH

        def inserted(number: int) -> float:
            first = number * size.batches
            return _inserted(raw, batches[first:first + size.batches])

        found = alternate("batches", {"ours": acknowledged, "raw": inserted}, size.rounds)
    raw.close()
    against = "`executemany` into one table, no server"
    return Row(f"events, /v1/batch of {BATCH}", against, PER_SECOND, found["ours"], found["raw"], (Bound(0.35),))


def _inserted(raw: Any, batches: Sequence[Sequence[Event]]) -> float:
    """Events a second, one transaction for each batch; rows are made before the time is taken."""
    rows = [[row_of(event) for event in batch] for batch in batches]
    with on_core(SERVING):
        begun = time.perf_counter()
        for batch in rows:
            raw.execute("BEGIN IMMEDIATE")
            raw.executemany(INSERT, batch)
            raw.execute("COMMIT")
        return sum(map(len, rows)) / (time.perf_counter() - begun)


def row_of(event: Event) -> tuple[str, str, str, str]:
    """An event as the table without a server has it."""
    return event["messageId"], event["userId"], event["event"], msgspec.json.encode(event["properties"]).decode()


def _singles(ours: Site, size: Size) -> Row:
    most = round(size.seconds * _SINGLES_A_SECOND)
    events, key = events_of(ours, size.rounds * most, what="single events"), ours.key("client")
    path = load.write(ours.folder / "singles", (load.request("/v1/track", each, key=key) for each in events))

    def acknowledged(port: int, number: int) -> float:
        first = number * most
        asked = load.run(
            path, port, connections=_SINGLE_CONNECTIONS, seconds=size.seconds, first=first, limit=most
        )
        return asked.per_second

    with ExitStack() as stack:
        works = {"ours": partial(acknowledged, stack.enter_context(ours.serving()).port)}
        peer = joined(stack, "Flask, one commit a request", partial(_flask, ours.folder))
        if peer.port:
            works[peer.name] = partial(acknowledged, peer.port)
        found = alternate("single events", works, size.rounds)
    what, theirs = f"single events, {_SINGLE_CONNECTIONS} connections", found.get(peer.name)
    return Row(what, peer.against, PER_SECOND, found["ours"], theirs, (Bound(5), Bound(8_000, of_ratio=False)))


@contextmanager
def _flask(folder: Path) -> Iterator[int]:
    """The port of the other server, with as many threads as ours has."""
    port = free_port()
    options = ("--interface", "wsgi", "--workers", "1", "--blocking-threads", "32", "--no-ws", "--factory")
    where = ("--host", "127.0.0.1", "--port", str(port), "benchmarks.one_commit:create_app")
    environ = {"EVENTS": str(folder / "flask.db"), "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    with process([sys.executable, "-m", "granian", *options, *where], port, folder=folder, environ=environ):
        yield port


def events_of(ours: Site, number: int, *, what: str) -> Iterator[Event]:
    """An exposure of each visitor and, a while later, an order: so many events, no two alike."""
    say(f"{what}: making {number:,} events")
    met = list(customers(number // 2, seed=2))
    with ours.opened() as installation:
        tokens = [evaluation.token for evaluation in assigned(installation, met)]
    draw = random.Random(2)
    late: deque[Event] = deque()
    for customer, token in zip(met, tokens, strict=True):
        yield _event(customer, "Experiment Viewed", {"experiment_id": KEY, "token": token}, draw)
        late.append(_event(customer, ORDER, {"revenue": draw.randrange(1000, 10_000) / 100}, draw))
        if len(late) > _LATER:
            yield late.popleft()
    yield from late


def _event(customer: Customer, name: str, properties: Event, draw: random.Random) -> Event:
    # Clients make ids at random.
    message = str(UUID(int=draw.getrandbits(128)))
    return {"type": "track", "userId": customer.id, "event": name, "messageId": message, "properties": properties}
