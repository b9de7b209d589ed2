"""How many evaluations and events a second does one server answer, over HTTP, with clients on the same machine?

Every event is on disk when it is answered. The clients write ready-made bytes to their sockets, so that they take as
little as possible of the processor that they share with the server.
"""

import secrets
import socket
import tempfile
import time
from collections.abc import Callable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any
from typing import NamedTuple

import msgspec

from experiments.audit import Deed
from experiments.keys import create_key
from experiments.lifecycle import act
from experiments.lifecycle import apply_document
from service.address import Address
from service.address import free_address
from service.clock import SystemClock
from service.config import load_config
from service.demo.campaigns import campaign_named
from service.demo.child import server
from service.installation import open_installation

_CONNECTIONS = 8
_SECONDS = 4.0
_BATCH = 100
_LIST = 10_000

_CAMPAIGN = campaign_named("hillstrom")


class Row(NamedTuple):
    """One figure; `per_second` of whatever is asked for, times of one request."""

    what: str
    per_second: float
    median_ms: float
    slowest_ms: float


def measure() -> Iterator[Row]:
    """Measure against a server of its own."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"BESPOKE_DATABASE_URL": f"sqlite:///{Path(folder)}/bespoke.db", "BESPOKE_LOG_LEVEL": "warning"}
        key = _prepared(settings)
        address = free_address("127.0.0.1", 0)
        with server(settings, address=address, clock=SystemClock()):
            yield _measured("evaluations (OFREP)", address, _evaluations(key), each=1)
            yield _measured(f"visitors in lists of {_LIST:,}", address, _lists(key), each=_LIST, connections=1)
            yield _measured(f"events in batches of {_BATCH}", address, _batches(key, _BATCH), each=_BATCH)
            yield _measured("events in batches of 2", address, _batches(key, 2), each=2)


def _prepared(settings: dict[str, str]) -> str:
    """Make the database and start an experiment; the key to use it with."""
    installation = open_installation(load_config(settings), serving=True)
    store, deed = installation.store, Deed("benchmark", installation.clock.now_ms())
    apply_document(store, _CAMPAIGN.document, deed=deed)
    act(store, _CAMPAIGN.key, "start", deed=deed)
    key = create_key(store, scope="server", name="", origins=(), random=secrets.token_bytes, deed=deed)
    installation.close()
    return key


def _evaluations(key: str) -> Callable[[int], bytes]:
    def request(number: int) -> bytes:
        context = {"targetingKey": f"visitor-{number}", "womens": True, "mens": False}
        return _request(f"/ofrep/v1/evaluate/flags/{_CAMPAIGN.key}", {"context": context}, key=key)

    return request


def _lists(key: str) -> Callable[[int], bytes]:
    """The same list each time, of people who were never exposed."""
    people = [{"id": f"customer-{n}", "attributes": {"womens": n % 2 == 0, "mens": n % 3 == 0}} for n in range(_LIST)]
    path = f"/v1/assignments?experiment={_CAMPAIGN.key}"
    request = _posted(path, msgspec.json.Encoder().encode_lines(people), key=key, kind="application/x-ndjson")
    return lambda number: request


def _batches(key: str, size: int) -> Callable[[int], bytes]:
    # Each run its own visitors: a repeated event costs less.
    run = secrets.token_hex(4)

    def request(number: int) -> bytes:
        visitors = (f"{run}-{number}-{index}" for index in range(size // 2))
        return _request("/v1/batch", {"batch": [event for each in visitors for event in _events(each)]}, key=key)

    return request


def _events(visitor: str) -> list[dict[str, Any]]:
    exposure = {"experiment_id": _CAMPAIGN.key, "variation_id": "mens-letter"}
    return [
        {"type": "track", "userId": visitor, "messageId": "1", "event": "Experiment Viewed", "properties": exposure},
        {"type": "track", "userId": visitor, "messageId": "2", "event": "Shop Visited", "properties": {}},
    ]


def _request(path: str, body: object, *, key: str) -> bytes:
    return _posted(path, msgspec.json.encode(body), key=key, kind="application/json")


def _posted(path: str, text: bytes, *, key: str, kind: str) -> bytes:
    headers = (f"POST {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {key}", f"Content-Type: {kind}")
    return "\r\n".join((*headers, f"Content-Length: {len(text)}", "", "")).encode() + text


def _measured(
    what: str, address: Address, request: Callable[[int], bytes], *, each: int, connections: int = _CONNECTIONS
) -> Row:
    numbers = count()
    begun = time.perf_counter()
    with ThreadPoolExecutor(connections) as pool:
        works = [pool.submit(_client, address, request, numbers, begun + _SECONDS) for _ in range(connections)]
        times = sorted(seconds for work in works for seconds in work.result())
    rate = len(times) * each / (time.perf_counter() - begun)
    return Row(what, rate, times[len(times) // 2] * 1000, times[len(times) * 99 // 100] * 1000)


def _client(address: Address, request: Callable[[int], bytes], numbers: "count[int]", until: float) -> list[float]:
    times = []
    with socket.create_connection(address) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while (begun := time.perf_counter()) < until:
            connection.sendall(request(next(numbers)))
            answer = _answer(connection)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise AssertionError(answer)
            times.append(time.perf_counter() - begun)
    return times


def _answer(connection: socket.socket) -> bytes:
    """One whole answer: of the length that its head says, or in chunks until an empty one."""
    answer = bytearray(connection.recv(65_536))
    head = bytes(answer).partition(b"\r\n\r\n")[0]
    _, is_known, length = head.lower().partition(b"content-length:")
    whole = len(head) + 4 + int(length.split(b"\r\n")[0]) if is_known else None
    while not answer.endswith(b"\r\n0\r\n\r\n") if whole is None else len(answer) < whole:
        answer += connection.recv(1 << 20)
    return bytes(answer)
