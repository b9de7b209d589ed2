"""How long is it from `bespoke serve` to the first answer, and how much memory does the idle server hold?

Memory is the proportional set size of all of its processes: pages that they share count once. The first answer is an
evaluation.
"""

import time
from collections.abc import Iterator
from http.client import HTTPConnection
from http.client import HTTPException
from pathlib import Path

import msgspec

from benchmarks.mailing import KEY
from benchmarks.mailing import Customer
from benchmarks.mailing import customers
from benchmarks.mailing import document
from benchmarks.rounds import alternate
from benchmarks.rows import MEGABYTES
from benchmarks.rows import SECONDS
from benchmarks.rows import Bound
from benchmarks.rows import Row
from benchmarks.rows import Sample
from benchmarks.site import Site
from benchmarks.site import site
from benchmarks.size import Size
from tests.service.processes import free_port

_LOOK_SECONDS = 0.005
_PATIENCE_SECONDS = 30


def measure(size: Size) -> Iterator[Row]:
    """Both, anew in each round."""
    with site(document()) as ours:
        starts = _Starts(ours)
        found = alternate("serve", {"ours": starts.seconds}, size.rounds)
    first = (Bound(1.5, is_most=True, of_ratio=False),)
    yield Row("`bespoke serve` to the first answer", "", SECONDS, found["ours"], None, first)
    least = (Bound(160, is_most=True, of_ratio=False),)
    if starts.megabytes:
        yield Row("resident memory, idle", "", MEGABYTES, Sample(tuple(starts.megabytes)), None, least)


class _Starts:
    """Starts of a server; what each one holds after its first answer is kept."""

    def __init__(self, ours: Site) -> None:
        self._ours = ours
        self._key = ours.key("client")
        self._asking = next(customers(1))
        self.megabytes: list[float] = []

    def seconds(self, _: int) -> float:
        """From the start to the first answer."""
        port, begun = free_port(), time.perf_counter()
        process = self._ours.start("serve", "--port", str(port))
        try:
            while not _is_answered(port, self._key, self._asking):
                assert process.poll() is None and time.perf_counter() - begun < _PATIENCE_SECONDS, "it does not come up"
                time.sleep(_LOOK_SECONDS)
            seconds = time.perf_counter() - begun
            self.megabytes += _megabytes(process.pid)
        finally:
            process.terminate()
            process.wait(_PATIENCE_SECONDS)
        return seconds


def _is_answered(port: int, key: str, customer: Customer) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
    body = msgspec.json.encode({"context": customer.context})
    try:
        connection.request("POST", f"/ofrep/v1/evaluate/flags/{KEY}", body, {"Authorization": key})
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _megabytes(process: int) -> list[float]:
    """What a process and those that it has started hold; nothing where the system does not tell."""
    try:
        return [sum(map(_proportional_kilobytes, _family(process))) / 1024]
    except OSError:
        return []


def _family(process: int) -> Iterator[int]:
    yield process
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _family(int(child))


def _proportional_kilobytes(process: int) -> int:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
