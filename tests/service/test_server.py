"""The server as a process: it starts, refuses, drains, and whatever it acknowledged survives every kill."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.experiments.documents import spring_mailing
from tests.service.processes import Installed
from tests.service.processes import ServerProcess
from tests.service.processes import free_port
from tests.service.processes import wait_until
from tests.service.witnesses import KEY
from tests.service.witnesses import Witness
from tests.service.witnesses import at_work
from tests.service.witnesses import check_exactly_once
from tests.service.witnesses import more_come
from tests.service.witnesses import witnessed


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    """An installation whose experiment runs."""
    return witnessed(tmp_path)


@pytest.fixture
def server(installed: Installed) -> Iterator[ServerProcess]:
    """The server of the installation."""
    server = ServerProcess(installed)
    yield server
    if server.main.poll() is None:
        server.kill_everything()


@pytest.fixture(scope="module")
def lasting_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server for the tests that leave it as it was."""
    installed = Installed(tmp_path_factory.mktemp("lasting"))
    installed.run_experiment(spring_mailing())
    server = ServerProcess(installed)
    yield server
    server.end()


@pytest.fixture
def witnesses(server: ServerProcess) -> Iterator[list[Witness]]:
    """Two witnesses at work."""
    with at_work(server) as witnesses:
        yield witnesses


@pytest.mark.parametrize("kill", ["kill_everything", "kill_main", "kill_worker"])
def test_what_was_acknowledged_survives_a_kill_and_is_counted_once(
    server: ServerProcess, witnesses: list[Witness], kill: str
) -> None:
    for _ in range(2):
        more_come(witnesses, 40)
        getattr(server, kill)()
        if kill != "kill_worker":
            server.start()
    more_come(witnesses, 40)
    check_exactly_once(server, witnesses)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_what_was_acknowledged_survives_twenty_kills_of_each_kind(
    server: ServerProcess, witnesses: list[Witness]
) -> None:
    for number in range(60):
        more_come(witnesses, 5 + number)
        getattr(server, ("kill_everything", "kill_main", "kill_worker")[number % 3])()
        if number % 3 != 2:
            server.start()
    check_exactly_once(server, witnesses)


def test_a_server_told_to_end_under_load_loses_nothing_and_exits_0(
    server: ServerProcess, witnesses: list[Witness]
) -> None:
    more_come(witnesses, 40)
    assert server.end() == 0
    server.start()
    check_exactly_once(server, witnesses)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_its_whole_group_as_by_ctrl_c_ends_it_too(
    server: ServerProcess, number: signal.Signals
) -> None:
    os.killpg(server.main.pid, number)
    check_ended_in_order(server)
    assert "ERROR" not in server.installed.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_each_of_its_processes_as_by_a_service_manager_ends_it_too(
    server: ServerProcess, number: signal.Signals
) -> None:
    for process in (*server.workers(), server.main.pid):
        os.kill(process, number)
    check_ended_in_order(server)


def check_ended_in_order(server: ServerProcess) -> None:
    """It must end sooner than a worker would be killed that does not drain."""
    assert server.main.wait(8) == 0


def test_a_request_that_is_being_sent_when_the_server_is_told_to_end_is_answered(server: ServerProcess) -> None:
    body = b'{"batch": []}'
    key = server.installed.key("server")
    head = f"POST /v1/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode() + body[:5])
        # Another request is answered after the first half of this one has come.
        assert server.is_ready()
        server.main.terminate()
        wait_until(lambda: not listens(server.port), what="no new connection is taken")
        connection.sendall(body[5:])
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    assert server.end() == 0


def listens(port: int) -> bool:
    """Whether anybody takes connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_a_server_that_ended_has_brought_everything_into_the_one_file(
    server: ServerProcess, witnesses: list[Witness]
) -> None:
    more_come(witnesses, 40)
    assert server.end() == 0
    assert all(path.stat().st_size == 0 for path in server.installed.folder.glob("bespoke.db-wal"))


def test_it_logs_one_line_when_it_starts(lasting_server: ServerProcess) -> None:
    lines = lasting_server.installed.log.read_text().splitlines()
    assert len(lines) == 1
    assert f"http://127.0.0.1:{lasting_server.port}" in lines[0]


def refused(finished: "subprocess.CompletedProcess[str]", saying: str) -> None:
    """It must have ended at once, with one line that says what is wrong."""
    assert finished.returncode == 1
    assert finished.stderr.count("\n") == 1
    assert saying in finished.stderr


def test_a_second_server_on_one_database_is_refused(lasting_server: ServerProcess) -> None:
    refused(lasting_server.installed.command("serve", "--port", str(free_port())), "is served by another process")
    assert lasting_server.is_ready()


def test_a_port_that_is_taken_is_refused(lasting_server: ServerProcess, tmp_path: Path) -> None:
    other = lasting_server.installed.command(
        "serve", "--port", str(lasting_server.port), BESPOKE_DATABASE_URL=f"sqlite:///{tmp_path}/other.db"
    )
    refused(other, f"127.0.0.1:{lasting_server.port}")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    installed.database.write_bytes(b"no database" * 1000)
    Path(f"{installed.database}.secret").write_text("s" * 64)
    refused(installed.command("serve", "--port", str(free_port())), "is not a sound database")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    elsewhere = f"sqlite:///{tmp_path}/nowhere/bespoke.db"
    command = ("serve", "--port", str(free_port()))
    refused(Installed(tmp_path).command(*command, BESPOKE_DATABASE_URL=elsewhere), "nowhere")


def test_another_secret_is_refused(installed: Installed) -> None:
    refused(installed.command("serve", "--port", str(free_port()), BESPOKE_SECRET="s" * 64), "secret")


def test_more_workers_than_one_are_refused(tmp_path: Path) -> None:
    refused(Installed(tmp_path).command("serve", "--workers", "2"), "--workers: 2")


def test_a_key_made_beside_a_running_server_is_known_at_once_and_forgotten_when_revoked(
    lasting_server: ServerProcess,
) -> None:
    key = lasting_server.installed.done("key", "create", "--scope", "report")
    address = f"/v1/experiments/{KEY}"
    assert lasting_server.ask("GET", address, key=key)[0] == 200
    lasting_server.installed.done("key", "revoke", key[:12])
    wait_until(lambda: lasting_server.ask("GET", address, key=key)[0] == 401, what="the key is refused", seconds=5)


def test_the_scheduler_is_at_work_in_the_server(lasting_server: ServerProcess) -> None:
    seconds = lasting_server.ask("GET", "/readyz")[1]["scheduler"]["seconds_since_last_look"]
    assert 0 <= seconds < 5
