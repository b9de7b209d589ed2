"""Where a command's table goes: to stdout, or to a file that is there whole or not at all."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path


@contextmanager
def output(name: str) -> Iterator[TextIOWrapper]:
    """A stream for a table; `-` is stdout. A file has another name until it is whole, and then takes its place."""
    if name == "-":
        # Whatever the terminal's encoding: a table is UTF-8.
        stream = TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="")
        try:
            yield stream
        finally:
            stream.detach()
        return
    if Path(name).exists() and not Path(name).is_file():
        # A pipe or a device is written to; to put a file in its place would destroy it.
        with Path(name).open("w", encoding="utf-8", newline="") as file:
            yield file
        return
    part = Path(f"{name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(name)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
