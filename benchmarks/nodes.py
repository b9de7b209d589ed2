"""What do several nodes on one PostgreSQL cost, and how soon does a new epoch hold on all of them?

Events go to two nodes at once, in batches of 500, beside inserts of the same batches, each of many rows and committed,
into one table of the same server, without a node. An evaluation on PostgreSQL, which looks up whom it does not know to
be exposed, stands beside one on SQLite, as `evaluate` has it. All of PostgreSQL's settings that keep what is committed
are as they come: it waits for its disk.
"""

import time
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import psycopg

from benchmarks import load
from benchmarks.evaluation import PATH
from benchmarks.evaluation import Servers
from benchmarks.events import BATCH
from benchmarks.events import Event
from benchmarks.events import events_of
from benchmarks.events import row_of
from benchmarks.mailing import KEY
from benchmarks.mailing import customers
from benchmarks.mailing import document
from benchmarks.one_commit import TABLE
from benchmarks.rounds import alternate
from benchmarks.rounds import say
from benchmarks.rows import MILLISECONDS
from benchmarks.rows import PER_SECOND
from benchmarks.rows import Bound
from benchmarks.rows import Row
from benchmarks.site import Site
from benchmarks.site import assigned
from benchmarks.site import run
from benchmarks.site import site
from benchmarks.size import Size
from experiments.storage.location import Server
from tests.postgres import Databases
from tests.postgres import running_postgres

_NODES = 2
_CONNECTIONS = 4
#: Even, so that weights are as they were before when they are through.
_EPOCHS = 24
_PATIENCE_SECONDS = 30
_INSERT = (
    "INSERT INTO events SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) ON CONFLICT DO NOTHING"
)


class NodeSite(Site):
    """An installation on PostgreSQL, as one of its machines has it."""

    def __init__(self, folder: Path, server: Server) -> None:
        super().__init__(folder)
        self.settings = {"BESPOKE_DATABASE_URL": server.url, "BESPOKE_SECRET": "a secret that only benchmarks know"}
        self.environ |= self.settings


def measure(size: Size) -> Iterator[Row]:
    """Events, evaluations and epochs, each on a database of its own."""
    with running_postgres(in_memory=False) as databases, TemporaryDirectory() as folder:
        for question in (_events, _evaluations, _epochs):
            # As a node finds it: empty, and made by the first who comes.
            ours = NodeSite(Path(folder), databases.empty())
            with ours.opened() as installation:
                run(installation, [document()])
            yield question(ours, databases, size)


def _events(ours: NodeSite, databases: Databases, size: Size) -> Row:
    events = list(events_of(ours, size.rounds * size.batches * BATCH, what="batches for two nodes"))
    batches = [events[first:first + BATCH] for first in range(0, len(events), BATCH)]
    key = ours.key("client")
    requests = (load.request("/v1/batch", {"batch": each}, key=key) for each in batches)
    path = load.write(ours.folder / "batches", requests)
    with ExitStack() as stack:
        nodes = [stack.enter_context(ours.serving()) for _ in range(_NODES)]
        raw: psycopg.Connection[Any] = stack.enter_context(
            psycopg.connect(databases.empty().url, autocommit=True, cursor_factory=psycopg.RawCursor)
        )
        raw.execute(TABLE)

        def acknowledged(number: int) -> float:
            half = size.batches // _NODES
            firsts = [number * size.batches + half * place for place in range(_NODES)]
            begun = time.perf_counter()
            with ThreadPoolExecutor(_NODES) as threads:
                list(threads.map(lambda each: _send(path, *each, limit=half), zip(nodes, firsts, strict=True)))
            return half * _NODES * BATCH / (time.perf_counter() - begun)

        def inserted(number: int) -> float:
            first = number * size.batches
            return _inserted(raw, batches[first:first + size.batches])

        found = alternate("events on two nodes", {"ours": acknowledged, "raw": inserted}, size.rounds)
    against = "inserts of many rows into one table of the same server, no node"
    what = f"events, /v1/batch of {BATCH}, two nodes on PostgreSQL"
    return Row(what, against, PER_SECOND, found["ours"], found["raw"], (Bound(0.35),))


def _send(path: Path, node: Any, first: int, *, limit: int) -> None:
    load.run(path, node.port, connections=_CONNECTIONS, first=first, limit=limit)


def _inserted(raw: "psycopg.Connection[Any]", batches: Sequence[Sequence[Event]]) -> float:
    """Events a second, one statement and one commit for each batch; columns are made before the time is taken."""
    columns = [[list(column) for column in zip(*map(row_of, batch), strict=True)] for batch in batches]
    begun = time.perf_counter()
    for each in columns:
        raw.execute(_INSERT, each)
    return sum(map(len, batches)) / (time.perf_counter() - begun)


def _evaluations(ours: NodeSite, databases: Databases, size: Size) -> Row:
    met = list(customers(size.visitors))
    with ExitStack() as stack:
        embedded = stack.enter_context(site(document()))
        servers: dict[str, tuple[int | None, Path]] = {}
        for name, each in (("ours", ours), ("SQLite", embedded)):
            say(f"evaluate on nodes: exposing half of the visitors, {name}")
            with each.opened() as installation:
                assigned(installation, met[::2], exposes=True)
            key = each.key("client")
            asking = (load.request(PATH, {"context": customer.context}, key=key) for customer in met)
            path = load.write(each.folder / "asking", asking)
            servers[name] = (stack.enter_context(each.serving()).port, path)
        found = Servers(size, servers).throughput()
    what = "evaluate over HTTP, a node on PostgreSQL"
    return Row(what, "the same on SQLite", PER_SECOND, found["ours"], found["SQLite"], (Bound(0.9),))


def _epochs(ours: NodeSite, databases: Databases, size: Size) -> Row:
    return epochs(ours, size, nodes=_NODES, what="an epoch to all nodes")


def epochs(ours: NodeSite, size: Size, *, nodes: int, what: str) -> Row:
    """How long the slowest of some epochs takes until every node of an installation decides by it."""
    admin, client = ours.key("admin"), ours.key("client")
    with ExitStack() as stack:
        serving = [stack.enter_context(ours.serving()) for _ in range(nodes)]
        askers = [_Asker(node.port) for node in serving]

        def slowest(_: int) -> float:
            return max(_until_known(askers, admin=admin, client=client, act=_ACTS[n % 2]) for n in range(_EPOCHS))

        found = alternate(what, {"ours": slowest}, size.rounds)
        for asker in askers:
            asker.close()
    bound = Bound(1000, is_most=True, of_ratio=False)
    return Row(f"{what}, the slowest of {_EPOCHS}", "", MILLISECONDS, found["ours"], None, (bound,))


#: Each of them is a new epoch.
_ACTS = ("finish", "unfreeze")


class _Asker:
    """A connection to a node that is kept."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port)
        self.close = self._connection.close

    def ask(self, path: str, body: object, *, key: str) -> dict[str, Any]:
        """What a node answers."""
        self._connection.request("POST", path, msgspec.json.encode(body), {"Authorization": key})
        response = self._connection.getresponse()
        answer: dict[str, Any] = msgspec.json.decode(response.read())
        assert response.status == 200, answer
        return answer


def _until_known(askers: Sequence[_Asker], *, admin: str, client: str, act: str) -> float:
    """The milliseconds from when one node has answered that an epoch is made until every node decides by it."""
    before = _epoch(askers[0], client)
    askers[0].ask(f"/v1/experiments/{KEY}/{act}", {"reason": "It is measured."}, key=admin)
    begun = time.perf_counter()
    while any(_epoch(asker, client) == before for asker in askers):
        assert time.perf_counter() - begun < _PATIENCE_SECONDS, "it does not reach every node"
    return (time.perf_counter() - begun) * 1000


def _epoch(asker: _Asker, key: str) -> int:
    answer = asker.ask(PATH, {"context": {"targetingKey": "somebody"}}, key=key)
    return int(answer["metadata"]["epoch"])
