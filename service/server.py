"""The server: granian with a worker process, which holds an embedded database's writer and lock, and a scheduler.

On PostgreSQL there may be several workers, each of them a node of its own but for the port.

The main process looks whether it can serve before it starts a worker, and starts another when one is killed. A worker
whose main process is killed ends too: it would keep the port and the lock, and nobody would mind it.
"""

import gc
import logging
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from collections.abc import Mapping
from functools import partial
from multiprocessing.synchronize import Event
from multiprocessing.util import Finalize
from threading import Thread
from typing import Any

from granian import Granian
from granian.constants import HTTPModes
from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

from experiments.errors import BespokeError
from experiments.errors import StorageLocked
from service import create_app
from service.config import Config
from service.config import load_config
from service.current import EXTENSION
from service.installation import Installation
from service.installation import open_installation
from service.operation.clock import Clock
from service.operation.collector import spare_the_collector
from service.operation.logs import configure_logs
from service.operation.logs import said
from service.operation.signals import ENDING
from service.operation.signals import wake_when_told_to_end
from service.operation.signals import when_told_to_end
from service.requests.address import Address
from service.requests.address import AddressTaken
from service.requests.address import free_address
from service.requests.patience import Patience
from service.requests.turns import Turns

_CONNECTIONS = 4096
#: Made when they are needed and ended when they are not: whoever half-sends a body keeps one waiting.
_THREADS = 1024
_TURNS = 32
#: After which a thread that computes lets another go on: the interpreter's own 5 ms are what an evaluation would take
#: that comes while a page is made.
_SWITCH_SECONDS = 0.001
_HEADER_SECONDS = 10
_DRAIN_SECONDS = 10
_PATIENCE_SECONDS = 2.0
_WATCH_SECONDS = 0.1
_MOST_FAILURES = 5

log = logging.getLogger(__name__)


class NotStarting(BespokeError):
    """The worker ends before it can serve."""

    code = "not_starting"


def serve(config: Config, wanted: Address, *, workers: int = 1, clock: Clock | None = None) -> None:
    """Serve until told to end (SIGTERM, SIGINT); requests that have come by then are answered.

    :raises BespokeError: if the address or the database cannot be had, and waiting a moment does not help.
    """
    address, failures = wanted, 0
    while failures < _MOST_FAILURES:
        _end_when_told()
        address = _patiently(partial(_claim, config, address))
        has_started = multiprocessing.Event()
        if _run(config, address, workers=workers, clock=clock, has_started=has_started):
            return
        # A worker that was killed is started again however often; one that cannot start would fail for ever.
        failures = 0 if has_started.is_set() else failures + 1
        time.sleep(_WATCH_SECONDS)
    raise NotStarting("the server's worker does not start: see the log")


def _end_when_told() -> None:
    def end(*_: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)


def _patiently(claim: Callable[[], Address]) -> Address:
    """What `claim` answers; a server that is ending may hold things for a moment."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return claim()
        except (AddressTaken, StorageLocked):
            if time.monotonic() > until:
                raise
            time.sleep(_WATCH_SECONDS)


def _claim(config: Config, wanted: Address) -> Address:
    """See that the address is free, and that the database is sound, up to date and nobody else's."""
    address = free_address(*wanted)
    open_installation(config, serving=True).close()
    # The worker is forked: a connection that it inherited could undo what another has locked.
    gc.collect()
    # What is left is no garbage, and a worker that never looks at it shares it.
    gc.freeze()
    return address


def _run(config: Config, address: Address, *, workers: int, clock: Clock | None, has_started: Event) -> bool:
    """Serve with granian until told to end, or until a worker ends by itself twice within seconds: then False."""
    server = Granian(
        "bespoke",
        address=address.host,
        port=address.port,
        interface=Interfaces.WSGI,
        workers=workers,
        backlog=_CONNECTIONS,
        backpressure=_most_connections(),
        blocking_threads=_THREADS,
        # With both versions at one port, whoever sends nothing is waited for without an end.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=_HEADER_SECONDS * 1000),
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=_DRAIN_SECONDS,
        log_level=LogLevels.error,
        log_dictconfig=_LOGGING,
    )
    # As text: a worker may be spawned, not forked, and then everything that it is given is pickled.
    settings = {name: text for name, text in config.written.items() if text is not None}
    server.on_startup(_hand_on)
    loader = partial(_load, settings, clock, address=address, main_process=os.getpid(), has_started=has_started)
    try:
        server.serve(target_loader=loader, wrap_loader=False)
    except SystemExit:
        # Ctrl-C reaches the worker too, which may be the faster to end: that is no failure.
        return server.interrupt_signal
    return True


def _most_connections() -> int:
    """Half of the files that may be open, which granian sees to: each thread that reads has some open too."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _CONNECTIONS if files == resource.RLIM_INFINITY else min(_CONNECTIONS, files // 2)


def _hand_on() -> None:
    """Let granian hear from a thread: its own handler takes a lock that its loop may hold."""
    end = signal.getsignal(signal.SIGTERM)
    assert callable(end), "granian has set its handlers before it calls its hooks"
    when_told_to_end(lambda: end(signal.SIGTERM, None))


def _load(
    settings: Mapping[str, str], clock: Clock | None, *, address: Address, main_process: int, has_started: Event
) -> Any:
    """The application, in the worker process."""
    _take_signals()
    Thread(target=end_with, args=(main_process,), name="parent", daemon=True).start()
    config = load_config(settings)
    configure_logs(config.log_level)
    try:
        app = create_app(config, clock=clock)
    except BespokeError as error:
        log.error("%s", error, extra=said("not_starting"))
        raise SystemExit(1) from error
    spare_the_collector()
    sys.setswitchinterval(_SWITCH_SECONDS)
    # A worker process leaves without what `atexit` holds.
    Finalize(None, _leave, args=(app.extensions[EXTENSION],), exitpriority=1)
    has_started.set()
    log.info("serving %s at %s", config.database, address, extra=said("serving"))
    patience = Patience(config.body_deadline_seconds)
    patience.keep_at(address.port)
    return Turns(app, number=_TURNS, patience=patience)


def _take_signals() -> None:
    """Let the main process say when to end, and let granian's handler in this one run at once when it does."""
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)
    # Ctrl-C speaks to a whole group of processes, and the main process then to its worker.
    os.setpgid(0, 0)
    wake_when_told_to_end()


def _leave(installation: Installation) -> None:
    """Let the database go and end; every request has been answered."""
    installation.close()
    # An interpreter that tidies up ends the threads of granian's runtime in a way that makes it abort.
    os._exit(0)


def end_with(parent: int) -> None:
    """End this process at once when its parent has ended; whatever was acknowledged is on disk."""
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)


_LOGGING: dict[str, Any] = {
    "formatters": {"line": {"()": "service.operation.logs.JsonLines"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"_granian": {"handlers": ["stderr"], "propagate": False}},
}
