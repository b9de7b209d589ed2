"""Signals to end, heard wherever the system delivers them.

Python runs handlers in the main thread alone. A signal that the system gives to another thread does not wake a main
thread that waits, and whoever sent it waits for ever too: so a thread listens for them here.
"""

import os
import signal
import threading
from collections.abc import Callable
from functools import partial

#: What Ctrl-C and service managers send.
ENDING = (signal.SIGTERM, signal.SIGINT)


def when_told_to_end(answer: Callable[[], object]) -> None:
    """Call `answer`, from a thread, when this process is told to end, which does nothing else to it from now on."""
    for number in ENDING:
        signal.signal(number, _only_heard)
    _listen(answer)


def wake_when_told_to_end() -> None:
    """Wake the main thread when this process is told to end, so that whatever handler it has by then runs at once."""
    signal.signal(signal.SIGUSR1, _only_heard)
    main = threading.main_thread().ident
    assert main is not None, "the main thread runs"
    _listen(partial(signal.pthread_kill, main, signal.SIGUSR1))


def _only_heard(number: int, frame: object) -> None:
    """Do nothing: a signal without a handler is not heard, and does not wake."""


def _listen(answer: Callable[[], object]) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    replaced = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    if replaced >= 0:
        # The thread that listened there reads the end of its pipe.
        os.close(replaced)
    threading.Thread(target=_hear, args=(reader, answer), name="signals", daemon=True).start()


def _hear(reader: int, answer: Callable[[], object]) -> None:
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        while number := pipe.read(1):
            if number[0] in ENDING:
                answer()
