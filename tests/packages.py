"""Packages that extend Bespoke, written by tests or that of `examples/`: found by who has their folder on the path."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = _ROOT / "examples" / "bespoke-epsilon-decay"


def write_package(folder: Path, module: str, source: str, *, group: str, names: Mapping[str, str]) -> None:
    """A package of one module; `names` are its entry points, by what of the module each leads to."""
    (folder / f"{module}.py").write_text(source)
    about = folder / f"{module}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    lines = [f"{name} = {module}:{value}" for name, value in names.items()]
    (about / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]))


def install_example(folder: Path) -> None:
    """Install the example package into a folder, as pip does, with what the environment has."""
    install = [sys.executable, "-m", "pip", "--quiet", "install", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*install, "--target", folder, _copied(folder)], check=True, timeout=120)


def _copied(folder: Path) -> Path:
    # Building leaves files beside the sources.
    copy = folder.with_name(f"{folder.name}-sources")
    for path in (path for path in EXAMPLE.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        (copy / path.relative_to(EXAMPLE)).parent.mkdir(parents=True, exist_ok=True)
        (copy / path.relative_to(EXAMPLE)).write_bytes(path.read_bytes())
    return copy
