"""The disk under the database: what is free, and whether that is little."""

import os
from pathlib import Path
from typing import NamedTuple

from service.config import Config


class Space(NamedTuple):
    """What is free for the database, and below what people are told."""

    free_bytes: int
    limit_bytes: int

    @property
    def is_low(self) -> bool:
        """Whether it is so little that somebody should see to it."""
        return self.free_bytes < self.limit_bytes


def space(config: Config) -> Space | None:
    """The space there is now under an embedded database; None where the database is on another machine's disk."""
    if config.database_path is None:
        return None
    found = os.statvfs(config.database_path.absolute().parent)
    return Space(found.f_bavail * found.f_frsize, config.disk_limit_bytes)


def file_bytes(path: Path) -> int:
    """The size of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def written(count: int) -> str:
    """Bytes for people."""
    return f"{count / (1 << 20):,.0f} MB"
