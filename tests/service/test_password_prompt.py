"""The password of a user, asked for at a terminal: it is not shown, and asked for twice."""

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

from service.people.passwords import verify_password
from tests.service.processes import Installed
from tests.service.processes import PATIENCE_SECONDS

PASSWORD = "typed by hand, unseen"


def typed(installed: Installed, *answers: str) -> tuple[str, int]:
    """What a terminal shows while a user is made and the answers are typed; and the exit status."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "user", "create", "ann@shop.example", "--role", "admin"],
        env=installed.environ, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
    )
    os.close(theirs)
    shown = b""
    for answer in answers:
        shown += until_asked(ours)
        os.write(ours, answer.encode() + b"\n")
    shown += rest(ours)
    os.close(ours)
    return shown.decode(), process.wait(PATIENCE_SECONDS)


def until_asked(terminal: int) -> bytes:
    """What is shown up to the next question, once the terminal has stopped showing what is typed."""
    shown, until = b"", time.monotonic() + PATIENCE_SECONDS
    while not shown.endswith(b": "):
        assert time.monotonic() < until, shown
        shown += os.read(terminal, 1000)
    return shown


def rest(terminal: int) -> bytes:
    """What is shown until the other end closes."""
    shown = b""
    try:
        while part := os.read(terminal, 1000):
            shown += part
    except OSError:
        pass
    return shown


def test_it_is_asked_for_twice_until_both_agree_and_not_shown(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    installed.done("init")
    shown, status = typed(installed, PASSWORD, PASSWORD + "x", PASSWORD, PASSWORD)
    assert status == 0, shown
    assert PASSWORD not in shown
    assert "do not match" in shown and "ann@shop.example: admin" in shown
    with installed.opened() as installation:
        (user,) = installation.store.read(lambda session: session.users.all())
    assert verify_password(PASSWORD, user.password_hash)
