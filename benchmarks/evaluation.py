"""How many evaluations a second does one server answer over HTTP, and how late are the late ones?

One OFREP call a request, with a client key, for a great many visitors in turn; half of them have been exposed before,
so that each of these is looked up in the database when it first comes. Five segments with rules; the answer carries the
message and a token. The peers are asked by the same generator over as many connections: nginx for the bytes of one of
our answers, Unleash for the variant of a toggle.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

import msgspec

from benchmarks import load
from benchmarks import nginx
from benchmarks import unleash
from benchmarks.load import Load
from benchmarks.mailing import KEY
from benchmarks.mailing import Customer
from benchmarks.mailing import customers
from benchmarks.mailing import document
from benchmarks.peers import Peer
from benchmarks.peers import joined
from benchmarks.rounds import alternate
from benchmarks.rounds import say
from benchmarks.rows import MILLISECONDS
from benchmarks.rows import PERCENT
from benchmarks.rows import PER_SECOND
from benchmarks.rows import Bound
from benchmarks.rows import Row
from benchmarks.rows import Sample
from benchmarks.site import assigned
from benchmarks.site import site
from benchmarks.size import Size

CONNECTIONS = 16
PATH = f"/ofrep/v1/evaluate/flags/{KEY}"


def measure(size: Size) -> Iterator[Row]:
    """Throughput beside both peers, then lateness beside nginx at half of what we can do."""
    met = list(customers(size.visitors))
    with ExitStack() as stack:
        ours = stack.enter_context(site(document()))
        folder = ours.folder
        say("evaluate: exposing half of the visitors")
        with ours.opened() as installation:
            assigned(installation, met[::2], exposes=True)
        key = ours.key("client")
        asking = load.write(folder / "ours", (load.request(PATH, {"context": each.context}, key=key) for each in met))
        port = stack.enter_context(ours.serving()).port
        say("evaluate: starting the peers")
        limit = joined(stack, "nginx, same bytes", partial(nginx.serving, _answer(port, met[1], key)))
        other = joined(stack, "Unleash, frontend API", unleash.serving)
        theirs = load.write(folder / "unleash", (unleash.asking(each.id) for each in met))
        servers = {"ours": (port, asking), limit.name: (limit.port, asking), other.name: (other.port, theirs)}
        yield from _rows(Servers(size, servers), limit, other)


class Servers:
    """Servers with the requests that each is sent."""

    def __init__(self, size: Size, servers: dict[str, tuple[int | None, Path]]) -> None:
        self._size = size
        self._servers = {name: (port, requests) for name, (port, requests) in servers.items() if port}
        self._busy: dict[str, list[float]] = {name: [] for name in self._servers}

    def loaded(self, name: str, number: int, *, rate: float = 0) -> Load:
        """One round's load on a server; each round meets other visitors."""
        port, requests = self._servers[name]
        first = number * self._size.visitors // self._size.rounds
        return load.run(
            requests, port, connections=CONNECTIONS, seconds=self._size.seconds, rate=rate, first=first
        )

    def throughput(self) -> dict[str, Sample]:
        """Answers a second, of as many requests as there is time for, once everybody is warm."""
        for name in self._servers:
            self.loaded(name, 0)
        works = {name: partial(self._answered, name) for name in self._servers}
        return alternate("evaluate", works, self._size.rounds)

    def _answered(self, name: str, number: int) -> float:
        found = self.loaded(name, number)
        self._busy[name].append(100 * found.busy)
        return found.per_second

    def busy(self, name: str) -> Sample:
        """How much of its core the generator took to ask a server for all that it could answer, in percent."""
        return Sample(tuple(self._busy[name]))

    def lateness(self, names: tuple[str, ...], rate: float) -> dict[str, Sample]:
        """The 99th percentile, at so many requests a second."""
        works = {
            name: lambda number, name=name: self.loaded(name, number, rate=rate).slow_ms
            for name in names
            if name in self._servers
        }
        return alternate("lateness", works, self._size.rounds)


def _rows(servers: Servers, limit: Peer, other: Peer) -> Iterator[Row]:
    fast = servers.throughput()
    for peer, least in ((limit, 0.45), (other, 10)):
        theirs = fast.get(peer.name)
        yield Row("evaluate over HTTP", peer.against, PER_SECOND, fast["ours"], theirs, (Bound(least),))
    if limit.port:
        what, bounds = f"load generator on {limit.name}: core in use", (Bound(90, is_most=True, of_ratio=False),)
        yield Row(what, "", PERCENT, servers.busy(limit.name), None, bounds)
    rate = fast["ours"].median / 2
    late = servers.lateness(("ours", limit.name), rate)
    what = f"evaluate over HTTP, p99 at {rate:,.0f}/s"
    yield Row(what, limit.against, MILLISECONDS, late["ours"], late.get(limit.name), (Bound(3, is_most=True),))


def _answer(port: int, customer: Customer, key: str) -> bytes:
    connection = HTTPConnection("127.0.0.1", port)
    connection.request("POST", PATH, msgspec.json.encode({"context": customer.context}), {"Authorization": key})
    answer = connection.getresponse().read()
    connection.close()
    return answer
