"""Load over HTTP: ready-made requests in a file, and the generator that sends them (`load.c`)."""

import struct
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.cores import ASKING
from benchmarks.cores import on_core

_SOURCE = Path(__file__).with_name("load.c")
_LONG_SECONDS = 600.0


class Load(NamedTuple):
    """What came of a load; `busy` is the part of the time that the generator itself took of its core."""

    per_second: float
    busy: float
    median_ms: float
    slow_ms: float


def request(path: str, body: object, *, key: str) -> bytes:
    """A request as a client would send it."""
    text = msgspec.json.encode(body)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    )
    return head.encode() + text


def write(path: Path, requests: Iterable[bytes]) -> Path:
    """Keep requests for the generator."""
    with path.open("wb") as file:
        for each in requests:
            file.write(struct.pack("=I", len(each)) + each)
    return path


def run(
    requests: Path, port: int, *, connections: int, seconds: float = 0, rate: float = 0, first: int = 0, limit: int = 0
) -> Load:
    """Send requests for so many seconds, or once so many of them; every answer must be a 200."""
    numbers = (port, connections, seconds or _LONG_SECONDS, rate, first, limit)
    with on_core(ASKING):
        line = [_generator(), *map(str, numbers), str(requests)]
        finished = subprocess.run(line, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise AssertionError(finished.stderr)
    answered, took, used, median_ms, slow_ms = map(float, finished.stdout.split())
    return Load(answered / took, used / took, median_ms, slow_ms)


@cache
def _generator() -> str:
    """The generator, compiled by the compiler that comes as a package, else by the machine's own."""
    program = Path(sys.prefix) / "bespoke-load"
    if not program.exists() or program.stat().st_mtime < _SOURCE.stat().st_mtime:
        compiler = [sys.executable, "-m", "ziglang", "cc"] if find_spec("ziglang") else ["cc"]
        subprocess.run([*compiler, "-O2", "-o", str(program), str(_SOURCE)], check=True)
    return str(program)
