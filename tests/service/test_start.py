"""A command loads what it needs and no more: to load all that others need would take longer than most of them work."""

from pathlib import Path

import pytest

from tests.experiments.documents import spring_mailing
from tests.service.processes import Installed

#: The web, its scheduler, charts, and the libraries of what an embedded installation does without.
_OTHERS = {
    "apscheduler", "flask", "granian", "nats", "psycopg", "scipy.linalg", "scipy.special", "vl_convert", "werkzeug",
}


@pytest.mark.parametrize(("arguments", "needed"), [
    (("key", "list"), "experiments.keys"), (("verify",), "experiments.verification"),
])
def test_a_command_on_the_database_loads_neither_the_web_nor_scipys_functions(
    tmp_path: Path, arguments: tuple[str, ...], needed: str
) -> None:
    installed = Installed(tmp_path)
    installed.run_experiment(spring_mailing())
    told = installed.command(*arguments, PYTHONPROFILEIMPORTTIME="1").stderr
    loaded = {line.rpartition("|")[2].strip() for line in told.splitlines()}
    assert needed in loaded
    assert loaded & _OTHERS == set()
