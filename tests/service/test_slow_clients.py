"""Clients that send slowly, read slowly or send without an end, against a real server: nobody else waits for them."""

import resource
import socket
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.experiments.documents import spring_mailing
from tests.service.processes import Installed
from tests.service.processes import ServerProcess
from tests.service.processes import wait_until

MB = 1024 * 1024
EVALUATE = "/ofrep/v1/evaluate/flags/spring-mailing"
HELD = 500
#: More than there are threads that wait for bodies.
ALL = 1_100


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose experiment runs."""
    installed = Installed(tmp_path_factory.mktemp("slow"))
    installed.run_experiment(spring_mailing())
    server = ServerProcess(installed)
    yield server
    server.end()


@pytest.fixture(scope="module")
def key(server: ServerProcess) -> str:
    """A key that evaluates and sends events."""
    return server.installed.key("server")


@pytest.fixture
def held() -> Iterator[ExitStack]:
    """Connections that stay open until the test ends."""
    with ExitStack() as held:
        yield held


def connected(server: ServerProcess, held: ExitStack, sending: bytes, *, number: int) -> list[socket.socket]:
    """So many connections that have sent this and send no more, from an address that nobody else asks from."""
    server_address, own = ("127.0.0.1", server.port), ("127.0.0.9", 0)
    connections = [
        held.enter_context(socket.create_connection(server_address, source_address=own)) for _ in range(number)
    ]
    for connection in connections:
        connection.sendall(sending)
    return connections


def head(key: str, *lines: str, path: str = "/v1/batch") -> bytes:
    """The head of a request that posts a body."""
    said = (f"POST {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {key}", "Content-Type: application/json")
    return "\r\n".join((*said, *lines, "", "")).encode()


def check_others_are_answered(server: ServerProcess, key: str, who: str) -> None:
    """Each of these takes a connection, a thread and a turn of its own."""
    for number in range(20):
        visitor = f"{who}-{number}"
        status, answer = server.ask("POST", EVALUATE, {"context": {"targetingKey": visitor}}, key=key)
        assert status == 200
        viewed = {"experiment_id": "spring-mailing", "token": answer["metadata"]["token"]}
        call = {"userId": visitor, "event": "Experiment Viewed", "properties": viewed}
        assert server.ask("POST", "/v1/track", call, key=key)[1]["accepted"] == 1


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has closed it."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False


def test_a_low_limit_of_open_files_is_no_limit_where_more_is_allowed(tmp_path: Path, held: ExitStack) -> None:
    # First, before others hold more open than its limit.
    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, most))
    held.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (usual, most))
    server = ServerProcess(Installed(tmp_path))
    held.callback(server.end)
    resource.setrlimit(resource.RLIMIT_NOFILE, (usual, most))
    connections = connected(server, held, b"GET /readyz HTTP/1.1\r\nHost: x\r\n", number=HELD)
    assert server.is_ready()
    # None had to be closed before there was a place for the one that asks.
    assert not any(map(is_closed, connections))


@pytest.fixture(scope="module")
def silent(server: ServerProcess) -> Iterator[list[socket.socket]]:
    """Connections that have sent no whole head, some of them nothing."""
    with ExitStack() as held:
        yield [
            *connected(server, held, b"", number=HELD),
            *connected(server, held, b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nX-Slow: ", number=HELD),
        ]


@pytest.mark.usefixtures("silent")
def test_whoever_sends_no_whole_head_keeps_nobody_waiting(server: ServerProcess, key: str) -> None:
    check_others_are_answered(server, key, "beside heads")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/batch",
        EVALUATE,
        pytest.param("/v1/assignments", marks=pytest.mark.long),
        pytest.param("/v1/identify", marks=pytest.mark.long),
    ],
)
def test_bodies_that_are_half_sent_keep_nobody_waiting(
    server: ServerProcess, key: str, held: ExitStack, path: str
) -> None:
    half = head(key, "Content-Length: 100", path=path) + b'{"ba'
    connections = connected(server, held, half, number=HELD)
    check_others_are_answered(server, key, f"beside {path}")
    # They were not sent away for it: their request is still under way.
    assert not any(map(is_closed, connections))


def test_bodies_that_trickle_keep_nobody_waiting(server: ServerProcess, key: str, held: ExitStack) -> None:
    connections = connected(server, held, head(key, "Transfer-Encoding: chunked"), number=HELD)
    for number in range(3):
        for connection in connections:
            connection.sendall(b"1\r\n \r\n")
        check_others_are_answered(server, key, f"trickle {number}")


def test_a_body_that_comes_late_is_answered(server: ServerProcess, key: str, held: ExitStack) -> None:
    connections = connected(server, held, head(key, "Content-Length: 13") + b'{"batc', number=100)
    check_others_are_answered(server, key, "before the rest")
    for connection in connections:
        connection.sendall(b'h": []}')
    for connection in connections:
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that gives bodies two seconds."""
    installed = Installed(tmp_path_factory.mktemp("hasty"))
    installed.run_experiment(spring_mailing())
    installed.environ["BESPOKE_BODY_DEADLINE"] = "2s"
    server = ServerProcess(installed)
    yield server
    server.end()


@pytest.fixture(scope="module")
def hasty_key(hasty: ServerProcess) -> str:
    """A key of it."""
    return hasty.installed.key("server")


def apart(server: ServerProcess, held: ExitStack, sending: bytes, *, address: str) -> socket.socket:
    """A connection from this address that has sent this."""
    connection = socket.create_connection(("127.0.0.1", server.port), source_address=(address, 0))
    held.enter_context(connection).sendall(sending)
    return connection


def is_refused(connection: socket.socket) -> bool:
    """Whether it has been, by whatever status; who went on sending may find the connection closed instead."""
    connection.setblocking(False)
    try:
        return connection.recv(10, socket.MSG_PEEK) == b"HTTP/1.1 4"
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_bodies_that_hold_every_thread_are_refused_after_their_time_and_then_others_are_answered(
    hasty: ServerProcess, hasty_key: str, held: ExitStack
) -> None:
    connections = connected(hasty, held, head(hasty_key, "Content-Length: 100") + b'{"ba', number=ALL)
    check_others_are_answered(hasty, hasty_key, "after the rest")
    wait_until(lambda: all(map(is_refused, connections)), what="everybody is refused")


def test_bodies_that_come_in_part_are_refused_after_their_time_and_take_nobody_with_them(
    hasty: ServerProcess, hasty_key: str, held: ExitStack
) -> None:
    heads = [
        head(hasty_key, said, path=path)
        for said in ("Content-Length: 90000", "Content-Length: 900000", "Transfer-Encoding: chunked")
        for path in ("/v1/batch", EVALUATE, "/v1/assignments")
    ]
    # Each from an address of its own, so that its own time counts.
    silent, trickling = (
        [apart(hasty, held, each, address=f"127.0.{kind}.{number}") for number, each in enumerate(heads, start=1)]
        for kind in (1, 2)
    )
    another = HTTPConnection("127.0.0.1", hasty.port, timeout=30)
    held.callback(another.close)

    def all_are_refused() -> bool:
        for connection in trickling:
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(b"1\r\n \r\n")
        # Over one connection that is kept.
        another.request("GET", "/healthz")
        assert another.getresponse().read()
        return all(map(is_refused, [*silent, *trickling]))

    wait_until(all_are_refused, what="everybody is refused")
    for connection in silent:
        connection.setblocking(True)
        answer = b"".join(iter(lambda: connection.recv(1000), b""))
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"the body has not come whole within 2 s" in answer


def test_whoever_reads_slowly_keeps_nobody_waiting(server: ServerProcess, key: str, held: ExitStack) -> None:
    for _ in range(HELD):
        connection = held.enter_context(socket.socket())
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(b"GET /sdk.js HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
    check_others_are_answered(server, key, "beside readers")


def test_whoever_sends_no_whole_head_is_closed(silent: list[socket.socket]) -> None:
    # Last, since it takes ten seconds from when they were opened.
    wait_until(lambda: all(map(is_closed, silent)), what="the server closes what says nothing")


def answer_to(server: ServerProcess, start: bytes, piece: bytes, *, times: int) -> bytes:
    """What the server answers to a request that goes on with so many pieces, of which it need not take all."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(start)
        # Once it has answered it closes, and the answer may be lost with what is on its way.
        with suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(times):
                connection.sendall(piece)
        with suppress(ConnectionResetError):
            return connection.recv(12)
    return b""


def bomb(size: int) -> bytes:
    """A gzip that unpacks to so many zeros."""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return b"".join(packer.compress(bytes(MB)) for _ in range(size // MB)) + packer.flush()


def answers_to_large_bodies(server: ServerProcess, key: str, path: str, *, size: int) -> set[bytes]:
    """What becomes of bodies of this size: with a length, without one, and packed."""
    packed = bomb(size // 2)
    sized = head(key, f"Content-Length: {size}", path=path)
    chunked = head(key, "Transfer-Encoding: chunked", path=path)
    bombed = head(key, f"Content-Length: {len(packed)}", "Content-Encoding: gzip", path=path)
    return {
        answer_to(server, sized, b" " * MB, times=size // MB),
        answer_to(server, chunked, b"100000\r\n" + b" " * MB + b"\r\n", times=size // MB),
        answer_to(server, bombed, packed, times=1),
    }


@pytest.mark.parametrize(
    ("path", "size", "most"),
    [
        ("/v1/batch", 256 * MB, 20 * MB),
        pytest.param(EVALUATE, 1024 * MB, 20 * MB, marks=pytest.mark.long),
        # Its bodies may have 8 MB.
        pytest.param("/v1/assignments", 1024 * MB, 40 * MB, marks=pytest.mark.long),
    ],
)
def test_large_bodies_and_bombs_take_no_more_memory_than_bodies_at_the_limit(
    server: ServerProcess, key: str, path: str, size: int, most: int
) -> None:
    for _ in range(4):
        answers_to_large_bodies(server, key, path, size=20 * MB)
    before = server.resident_bytes()
    assert answers_to_large_bodies(server, key, path, size=size) <= {b"HTTP/1.1 413", b""}
    assert server.resident_bytes() - before < most
