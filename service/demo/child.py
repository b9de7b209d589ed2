"""The demo's server: the one that `bespoke serve` runs, in a process of its own, told which clock to go by."""

import sys
import time
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from http.client import HTTPException
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from os import getpid
from threading import Thread

from experiments.errors import BespokeError
from service.config import load_config
from service.operation.clock import Clock
from service.operation.logs import configure_logs
from service.requests.address import Address
from service.server import end_with
from service.server import serve

_PATIENCE_SECONDS = 60
_LOOK_SECONDS = 0.05


class NotServing(BespokeError):
    """The demo's server did not come up."""

    code = "not_serving"


@contextmanager
def server(settings: Mapping[str, str], *, address: Address, clock: Clock) -> Iterator[BaseProcess]:
    """A server that answers; it is ended, and has ended, when the block is left.

    :raises NotServing: if it does not come up.
    """
    process = get_context("spawn").Process(target=_serve, args=(dict(settings), address, clock, getpid()))
    process.start()
    try:
        _wait_until_ready(process, address)
        yield process
    finally:
        process.terminate()
        process.join()


def _serve(settings: Mapping[str, str], address: Address, clock: Clock, parent: int) -> None:
    Thread(target=end_with, args=(parent,), daemon=True).start()
    config = load_config(settings)
    configure_logs(config.log_level)
    try:
        serve(config, address, clock=clock)
    except BespokeError as error:
        sys.exit(f"bespoke: {error}")


def _wait_until_ready(process: BaseProcess, address: Address) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while not _is_ready(address):
        if not process.is_alive() or time.monotonic() > until:
            raise NotServing(f"no server came up at {address}")
        time.sleep(_LOOK_SECONDS)


def _is_ready(address: Address) -> bool:
    connection = HTTPConnection(address.host, address.port, timeout=_PATIENCE_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
