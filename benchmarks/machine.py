"""What a figure was measured on, without which it says little."""

import os
import platform
from pathlib import Path

from pysqlite3 import dbapi2


def facts() -> dict[str, str]:
    """The machine and the versions that matter."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": platform.platform(),
        "Python": platform.python_version(),
        "SQLite": dbapi2.sqlite_version,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
