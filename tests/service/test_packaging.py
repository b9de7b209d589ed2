"""The distributions: what is built holds all that the program needs, and runs where the sources are not."""

import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from email import message_from_string
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import pytest

import stats
from experiments.version import VERSION
from tests.experiments.documents import tiny
from tests.service.processes import REPOSITORY
from tests.service.processes import Installed
from tests.service.processes import ServerProcess

PACKAGES = ("experiments", "service", "stats")
_NOT_SOURCES = shutil.ignore_patterns(".[!cd]*", "__pycache__", "*.egg-info", "build", "dist", "node_modules", "*.db*")
_BIN = Path(sys.executable).parent
_TOP = (
    "CHANGELOG.md", "CONTRIBUTING.md", "Dockerfile", "LICENSE", "Makefile", "README.md", "SECURITY.md", "compose.yaml",
    "compose.postgresql.yaml", "pyproject.toml", "setup.cfg", "wsgi.py", ".ci/run", ".dockerignore",
)


class Built(NamedTuple):
    """What `make dist` makes: the source distribution, and the wheel that is made of that."""

    sources: Path
    wheel: Path

    def names(self) -> list[str]:
        """The files of the wheel."""
        with ZipFile(self.wheel) as archive:
            return archive.namelist()

    def carried(self) -> set[str]:
        """The files of the source distribution."""
        with tarfile.open(self.sources) as archive:
            return {member.name.partition("/")[2] for member in archive if member.isfile()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Built by the Makefile from a copy of the sources, in the environment of the tests."""
    folder = tmp_path_factory.mktemp("built") / "sources"
    shutil.copytree(REPOSITORY, folder, ignore=_NOT_SOURCES)
    # The environment has what building needs, so nothing is fetched.
    make = ["make", "--silent", "dist", "--old-file=.venv/installed-build", f"BIN={_BIN}"]
    done = subprocess.run(make, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    (sources,), (wheel,) = (list((folder / "dist").glob(name)) for name in ("*.tar.gz", "*.whl"))
    return Built(sources, wheel)


class Wheel(Installed):
    """The wheel in an environment of its own, with what it requires, away from the sources."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        super().__init__(folder)
        self._environment = folder / "environment"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self._environment], check=True, timeout=60)
        python = self._environment / "bin" / "python"
        pip = [sys.executable, "-m", "pip", "--quiet", "--python", python]
        subprocess.run([*pip, "install", "--no-deps", "--no-index", wheel], check=True, timeout=120)
        (site,) = self._environment.glob("lib/*/site-packages")
        # A path here brings the packages that are required, and not the editable installation, whose hook stays unread.
        (site / "required.pth").write_text(sysconfig.get_path("purelib"))
        del self.environ["PYTHONPATH"]

    def _line(self, arguments: tuple[str, ...]) -> list[str]:
        return [str(self._environment / "bin" / "bespoke"), *arguments]


@pytest.fixture(scope="module")
def wheel(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    """The wheel, installed."""
    return Wheel(tmp_path_factory.mktemp("installed"), built.wheel)


@pytest.fixture(scope="module")
def server(wheel: Wheel) -> Iterator[ServerProcess]:
    """The server that the wheel brings."""
    wheel.done("init")
    started = ServerProcess(wheel)
    yield started
    started.end()


def needed() -> set[str]:
    """The files of the packages, the caches of Python left out."""
    return {
        str(path.relative_to(REPOSITORY))
        for package in PACKAGES
        for path in (REPOSITORY / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def kept() -> set[str]:
    """The files of the repository that somebody who has the sources needs, what is installed and computed left out."""
    folders = (REPOSITORY / name for name in (*PACKAGES, "benchmarks", "docs", "examples", "tests"))
    inside = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    names = {str(path.relative_to(REPOSITORY)) for path in (*inside, *(REPOSITORY / name for name in _TOP))}
    return {name for name in names if not {"node_modules", "__pycache__"} & set(Path(name).parts)}


def test_the_wheel_holds_every_module_template_migration_and_count(built: Built) -> None:
    assert needed() | {"wsgi.py"} == {name for name in built.names() if ".dist-info/" not in name}


def test_the_wheel_has_the_command_the_licence_and_the_version(built: Built) -> None:
    names = {Path(name).name: name for name in built.names() if ".dist-info/" in name}
    assert {"entry_points.txt", "LICENSE", "METADATA"} <= names.keys()
    with ZipFile(built.wheel) as archive:
        metadata = message_from_string(archive.read(names["METADATA"]).decode())
    assert (metadata["Name"], metadata["Version"]) == ("bespoke-experiments", VERSION)


def test_types_are_shipped_with_each_package(built: Built) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(built.names())


def test_the_source_distribution_carries_all_that_the_repository_keeps(built: Built) -> None:
    assert kept() <= built.carried()
    assert not {name for name in built.carried() if "node_modules" in name or "__pycache__" in name}


def test_the_installed_wheel_serves_pages_scripts_and_the_reference(wheel: Wheel, server: ServerProcess) -> None:
    for path in ("/login", "/sdk.js", "/docs", "/static/bespoke.css"):
        connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("GET", path)
        assert (path, connection.getresponse().status) == (path, 200)
        connection.close()
    assert server.ask("GET", "/openapi.json")[1]["info"]["version"] == VERSION
    assert wheel.done("--version").endswith(VERSION)


def test_the_installed_wheel_decides_counts_and_has_its_gallery(wheel: Wheel, server: ServerProcess) -> None:
    admin = wheel.done("key", "create", "--scope", "admin")
    document = tiny()
    assert server.ask("POST", "/v1/experiments", document, key=admin)[0] == 201
    assert server.ask("POST", f"/v1/experiments/{document['key']}/start", key=admin)[0] == 200
    flag = f"/ofrep/v1/evaluate/flags/{document['key']}"
    status, answer = server.ask("POST", flag, {"context": {"targetingKey": "ann"}}, key=admin)
    assert (status, answer["metadata"]["cause"]) == (200, "allocated")
    reached = {"experiment_id": document["key"], "token": answer["metadata"]["token"]}
    seen = {"userId": "ann", "event": "Experiment Viewed", "properties": reached}
    assert server.ask("POST", "/v1/track", seen, key=admin)[1]["accepted"] == 1
    assert server.ask("GET", "/v1/gallery", key=admin)[0] == 200
    assert wheel.done("verify")


def test_nothing_of_the_sources_is_used_by_the_installed_wheel(wheel: Wheel) -> None:
    python = wheel.folder / "environment" / "bin" / "python"
    program = "import experiments, service, stats; print(experiments.__file__, service.__file__, stats.__file__)"
    said = subprocess.run(
        [python, "-c", program], cwd=wheel.folder, capture_output=True, text=True, check=True, env=wheel.environ
    )
    assert all(Path(path).is_relative_to(wheel.folder) for path in said.stdout.split())


@pytest.mark.long
def test_the_installed_wheel_plays_the_demo(wheel: Wheel) -> None:
    said = wheel.done("demo", "--exit", patience_seconds=280)
    assert "Report: http://127.0.0.1:8000/experiments/hillstrom?link=" in said


def test_the_packages_are_those_of_this_repository() -> None:
    # Others ship packages of these names too, and pip lets the last one win.
    assert Path(str(stats.__file__)).is_relative_to(REPOSITORY)


def test_the_newest_heading_of_the_changelog_is_the_version() -> None:
    headings = [line for line in (REPOSITORY / "CHANGELOG.md").read_text().splitlines() if line.startswith("## [")]
    assert headings[0].startswith(f"## [{VERSION}]")


def test_the_version_is_written_in_one_place() -> None:
    others = ("setup.cfg", "pyproject.toml", "Makefile", "Dockerfile", "compose.yaml", "compose.postgresql.yaml")
    assert not [name for name in others if VERSION in (REPOSITORY / name).read_text()]
