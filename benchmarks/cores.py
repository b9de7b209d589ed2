"""Which core works for whom: the server on one, those who ask it on another."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

ASKING = 0
SERVING = -1


@contextmanager
def on_core(place: int) -> Iterator[None]:
    """Keep this thread, and the processes that it starts, on one core; where cores cannot be chosen, on all."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(allowed)[place]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
