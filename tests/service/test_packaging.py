"""The distribution: everything that the program reads at run time is in the wheel, and nothing else is."""

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

import stats
from tests.service.processes import REPOSITORY

PACKAGES = ("experiments", "service", "stats")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names of the files in a wheel built from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    sources = folder / "sources"
    shutil.copytree(REPOSITORY, sources, ignore=shutil.ignore_patterns(".*", "*.egg-info", "build", "dist", "demo.db"))
    subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--wheel-dir", folder, sources],
        check=True,
        timeout=120,
    )
    with ZipFile(next(folder.glob("bespoke_experiments-*.whl"))) as archive:
        return archive.namelist()


def needed() -> set[str]:
    """The files of the packages, the caches of Python left out."""
    return {
        str(path.relative_to(REPOSITORY))
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_every_module_template_migration_and_count(wheel: list[str]) -> None:
    assert needed() | {"wsgi.py"} == {name for name in wheel if ".dist-info/" not in name}


def test_the_wheel_has_the_command_and_the_licence(wheel: list[str]) -> None:
    names = {Path(name).name for name in wheel if ".dist-info/" in name}
    assert {"entry_points.txt", "LICENSE", "METADATA"} <= names


def test_the_packages_are_those_of_this_repository() -> None:
    # Others ship packages of these names too, and pip lets the last one win.
    assert Path(str(stats.__file__)).is_relative_to(REPOSITORY)
