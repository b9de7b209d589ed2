"""Many connections, many restarts, load without a pause: nothing grows that stays, and starts stay quick."""

import json
import os
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest

from experiments.verification import verify
from tests.experiments.documents import spring_mailing
from tests.service.processes import Installed
from tests.service.processes import ServerProcess
from tests.service.witnesses import KEY
from tests.service.witnesses import at_work
from tests.service.witnesses import check_exactly_once
from tests.service.witnesses import events
from tests.service.witnesses import more_come
from tests.service.witnesses import witnessed

MEGABYTE = 1 << 20
#: The pages at which a commit takes the log in by the way, and as much again for what comes meanwhile.
LOG_BYTES = 64 * MEGABYTE


class Burden(NamedTuple):
    """What a process holds: open files, and memory in bytes."""

    files: int
    memory: int


def burden(process: int) -> Burden:
    """What a process holds now."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return Burden(len(os.listdir(f"/proc/{process}/fd")), pages * os.sysconf("SC_PAGE_SIZE"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server whose experiment runs."""
    server = ServerProcess(witnessed(tmp_path))
    yield server
    if server.main.poll() is None:
        server.kill_everything()


def test_connections_that_come_and_go_leave_nothing_behind(server: ServerProcess) -> None:
    [worker] = server.workers()
    connect_often(server, 200)
    before = burden(worker)
    connect_often(server, 1000)
    after = burden(worker)
    # A thread of the server opens the database when it is first needed.
    assert after.files < before.files + 100
    assert after.memory < before.memory + 8 * MEGABYTE


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_however_many_visitors_and_addresses_come_no_more_is_remembered_of_them(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    installed.run_experiment(spring_mailing())
    installed.environ["BESPOKE_TRUSTED_PROXIES"] = "1"
    server = ServerProcess(installed)
    key = installed.key("client")
    memory = []
    try:
        for tenth in range(10):
            come(server, key, range(tenth * 12_000, (tenth + 1) * 12_000))
            memory.append(server.resident_bytes())
    finally:
        server.end()
    print(f"memory: {memory[4] >> 20} MB after 60,000, {memory[-1] >> 20} MB after 120,000")
    # By then as many addresses have come as are remembered.
    assert memory[-1] < memory[4] + 16 * MEGABYTE


def come(server: ServerProcess, key: str, numbers: range) -> None:
    """Ask for as many visitors, each from an address of its own, over one connection."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    for number in numbers:
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        body = json.dumps({"context": {"targetingKey": f"visitor-{number}", "first_name": f"Name {number}"}})
        headers = {"Authorization": f"Bearer {key}", "X-Forwarded-For": address, "Content-Type": "application/json"}
        connection.request("POST", f"/ofrep/v1/evaluate/flags/{KEY}", body, headers)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        response.read()
    connection.close()


def connect_often(server: ServerProcess, times: int) -> None:
    """Ask so many times, each time over a new connection."""
    for _ in range(times):
        assert server.ask("GET", "/healthz")[0] == 200


def test_workers_that_are_killed_leave_nothing_to_the_main_process(server: ServerProcess) -> None:
    server.kill_worker()
    before = burden(server.main.pid)
    for _ in range(3):
        server.kill_worker()
    after = burden(server.main.pid)
    assert after.files <= before.files + 2
    assert after.memory < before.memory + 8 * MEGABYTE


def test_the_log_stays_small_under_load_while_others_read(server: ServerProcess) -> None:
    key = server.installed.key("admin")
    asked = {"context": {"targetingKey": "ann"}}
    answer = server.ask("POST", f"/ofrep/v1/evaluate/flags/{KEY}", asked, key=key)[1]
    exposure, order = events("ann", token=answer["metadata"]["token"])
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            assert server.ask("GET", f"/v1/experiments/{KEY}/report", key=key)[0] == 200

    reader, sizes = threading.Thread(target=read), []
    reader.start()
    try:
        for number in range(60):
            orders = [{**order, "messageId": f"order-{number}-{index}"} for index in range(999)]
            answer = server.ask("POST", "/v1/batch", {"batch": [exposure, *orders]}, key=key)[1]
            assert answer["accepted"] >= 999
            sizes.append(Path(f"{server.installed.database}-wal").stat().st_size)
    finally:
        ended.set()
        reader.join()
    assert max(sizes) <= LOG_BYTES
    assert server.installed.database.stat().st_size > 4 * MEGABYTE, "a log was taken in"


@pytest.mark.long
@pytest.mark.timeout(900)
def test_fifty_restarts_under_load_lose_nothing_and_are_ready_within_five_seconds(server: ServerProcess) -> None:
    took = []
    with at_work(server) as witnesses:
        for _ in range(50):
            more_come(witnesses, 10)
            server.kill_everything()
            began = time.monotonic()
            server.start()
            took.append(time.monotonic() - began)
        check_exactly_once(server, witnesses)
    # The middle one: the machine may be busy with something else.
    assert median(took) <= 5


#: Rounds of as many visitors, each of whom is exposed and has three outcomes.
ROUNDS, VISITORS, OUTCOMES = 50, 10_000, 3


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_two_million_events_in_one_file_cost_no_more_memory_than_the_first(server: ServerProcess) -> None:
    """With its figures: `pytest -m long -rP tests/service/test_endurance.py -k million`."""
    key = server.installed.key("admin")
    seconds, memory, reports = [], [], []
    for number in range(ROUNDS):
        began = time.monotonic()
        a_round(server, key, [f"visitor-{number}-{index}" for index in range(VISITORS)])
        ended = time.monotonic()
        assert server.ask("GET", f"/v1/experiments/{KEY}/report", key=key)[0] == 200
        reports.append(time.monotonic() - ended)
        seconds.append(ended - began)
        memory.append(server.resident_bytes())
    # The first rounds fill what is remembered of visitors and of what they are told.
    assert memory[-1] < memory[ROUNDS // 5] + 64 * MEGABYTE
    totals = server.ask("GET", f"/v1/experiments/{KEY}/report", key=key)[1]["totals"]
    assert sum(row["visitors"] or 0 for row in totals) == ROUNDS * VISITORS
    assert sum(row["metrics"]["visits"]["sum"] or 0 for row in totals) == (OUTCOMES - 1) * ROUNDS * VISITORS
    assert server.end() == 0
    size = server.installed.database.stat().st_size / (ROUNDS * VISITORS * (1 + OUTCOMES))
    assert size < 300
    fifth = ROUNDS // 5
    for name, found in (("a round", seconds), ("a report", reports)):
        print(f"{name}: {median(found[:fifth]):.2f} s at first, {median(found[-fifth:]):.2f} s at last")
    print(f"memory: {memory[fifth] >> 20} MB after a fifth, {memory[-1] >> 20} MB at last; {size:.0f} bytes an event")
    with server.installed.opened() as installation:
        assert verify(installation.store) == []


def a_round(server: ServerProcess, key: str, visitors: list[str]) -> None:
    """Expose visitors by a list, and tell of what each of them did."""
    listed = {"experiment": KEY, "visitors": [{"id": each} for each in visitors], "expose": True}
    assert server.ask("POST", "/v1/assignments", listed, key=key)[0] == 200
    for start in range(0, len(visitors), 1000 // OUTCOMES):
        batch = [
            {"type": "track", "userId": each, "event": event, "messageId": f"{event}-{index}"}
            for each in visitors[start : start + 1000 // OUTCOMES]
            for index, event in enumerate(("Page Viewed", "Page Viewed", "Order Completed"))
        ]
        assert server.ask("POST", "/v1/batch", {"batch": batch}, key=key)[1]["accepted"] == len(batch)
