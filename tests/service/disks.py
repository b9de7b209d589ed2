"""Disks that are full, and have space again: a small one where one may be mounted, else files that may not grow."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path

from tests.service.processes import ServerProcess

# Larger than a log that is taken in by the way, with the database.
_SIZE = "16m"
_BLOCK = 4096


class Disk:
    """Where an installation lives that is to run out of space."""

    def __init__(self, folder: Path, *, is_small: bool) -> None:
        self.folder = folder
        self.is_small = is_small
        self._ballast = folder / "ballast"

    def fill(self, server: ServerProcess) -> None:
        """Leave a server no space at all."""
        if self.is_small:
            self._take_all()
        for process in server.workers():
            self._limit(process, 0)

    def free(self, server: ServerProcess) -> None:
        """Give the space back."""
        self._ballast.unlink(missing_ok=True)
        for process in server.workers():
            self._limit(process, resource.RLIM_INFINITY)

    @contextmanager
    def full(self, *, but: int = 0) -> Iterator[None]:
        """No space, but for some bytes, for this process and those that it starts meanwhile."""
        if self.is_small:
            self._take_all()
            os.truncate(self._ballast, self._ballast.stat().st_size - but)
        self._limit(os.getpid(), but)
        try:
            yield
        finally:
            self._limit(os.getpid(), resource.RLIM_INFINITY)
            self._ballast.unlink(missing_ok=True)

    def _take_all(self) -> None:
        with self._ballast.open("ab", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(_BLOCK))

    def _limit(self, process: int, size: int) -> None:
        if not self.is_small:
            resource.prlimit(process, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@contextmanager
def mounted(folder: Path) -> Iterator[Disk]:
    """A disk in a folder."""
    is_small = os.geteuid() == 0 and not _system("mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "none", str(folder))
    try:
        yield Disk(folder, is_small=is_small)
    finally:
        if is_small:
            _system("umount", "--lazy", str(folder))


def _system(*line: str) -> int:
    return subprocess.run(line, capture_output=True, check=False).returncode
