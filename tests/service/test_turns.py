from collections.abc import Iterable
from contextlib import suppress
from io import BytesIO
from threading import Event
from threading import Thread
from time import sleep
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import Client
from werkzeug.test import TestResponse

from experiments.storage.session import Session
from service.errors import Refused
from service.installation import Installation
from service.requests.patience import Patience
from service.requests.turns import LEAVE
from service.requests.turns import Turns
from tests.service.conftest import bearer
from tests.service.processes import wait_until

PATIENCE = Patience(60)


class Late:
    """A body that comes when it is told to."""

    def __init__(self) -> None:
        self.asked = Event()
        self.comes = Event()

    def read(self, size: int | None = None) -> bytes:
        """The body, once it has come."""
        self.asked.set()
        assert self.comes.wait(30)
        return b"late"


def echo(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    return [environ["wsgi.input"].read(4)]


def fail(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    raise ZeroDivisionError


def asking(turns: Turns, answers: list[bytes], **environ: Any) -> Thread:
    """Somebody who asks and waits for the answer."""
    thread = Thread(target=lambda: answers.extend(turns(environ, lambda *_: None)), daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("length", ["4", "100000", None])
def test_a_request_whose_body_is_late_has_no_turn_before_it_comes(length: str | None) -> None:
    turns, late, answers = Turns(echo, number=1, patience=PATIENCE), Late(), []
    waiting = asking(turns, answers, CONTENT_LENGTH=length, **{"wsgi.input": late})
    assert late.asked.wait(30)
    asking(turns, answers, **{"wsgi.input": BytesIO(b"soon")}).join(10)
    assert answers == [b"soon"]
    late.comes.set()
    waiting.join(10)
    assert answers == [b"soon", b"late"]


@pytest.mark.parametrize("length", ["4", "100000", None])
def test_a_body_that_takes_too_long_is_refused_to_whoever_wants_it(length: str | None) -> None:
    turns = Turns(echo, number=1, patience=Patience(-1))
    for _ in range(2):
        with pytest.raises(Refused, match="has not come whole") as refused:
            turns({"wsgi.input": BytesIO(b"late"), "CONTENT_LENGTH": length}, None)
        assert refused.value.code == 408


@pytest.mark.parametrize("length", ["4", "100000", None])
def test_a_body_that_was_refused_is_none_when_it_is_asked_for_again(length: str | None) -> None:
    class Slow(BytesIO):
        """A body that takes its time, once."""

        def read(self, size: int | None = -1) -> bytes:
            sleep(0 if self.tell() else 0.05)
            return super().read(size)

    def ask_twice(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with suppress(Refused):
            environ["wsgi.input"].read(4)
        return [environ["wsgi.input"].read(4)]

    turns = Turns(ask_twice, number=1, patience=Patience(0.02))
    with pytest.raises(Refused, match="has not come whole"):
        turns({"wsgi.input": Slow(b"late"), "CONTENT_LENGTH": length}, None)


def test_no_more_are_worked_on_at_once_than_there_are_turns() -> None:
    begun, may_end = Event(), Event()

    def slow(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        begun.set()
        assert may_end.wait(30)
        return [environ["name"]]

    turns, answers = Turns(slow, number=1, patience=PATIENCE), []
    first = asking(turns, answers, name=b"first", **{"wsgi.input": BytesIO()})
    assert begun.wait(30)
    begun.clear()
    second = asking(turns, answers, name=b"second", **{"wsgi.input": BytesIO()})
    # It has no turn before the first gives its own back.
    assert not begun.wait(0.1)
    may_end.set()
    first.join(30)
    second.join(30)
    assert answers == [b"first", b"second"]


def test_a_request_that_fails_gives_its_turn_back() -> None:
    turns = Turns(fail, number=1, patience=PATIENCE)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            turns({"wsgi.input": BytesIO()}, None)


def test_a_turn_that_was_left_is_anothers_and_comes_back_once() -> None:
    begun, may_end = Event(), Event()

    def work(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["leaves"]:
            environ[LEAVE]()
        begun.set()
        assert may_end.wait(30)
        return []

    def ask(*, leaves: bool) -> Thread:
        begun.clear()
        return asking(turns, [], leaves=leaves, CONTENT_LENGTH="9999", **{"wsgi.input": BytesIO()})

    turns, threads = Turns(work, number=1, patience=PATIENCE), []
    for leaves, is_begun in ((True, True), (True, True), (False, True), (False, False)):
        threads.append(ask(leaves=leaves))
        assert begun.wait(30 if is_begun else 0.1) == is_begun
    may_end.set()
    for thread in threads:
        thread.join(30)
    may_end.clear()
    # All have ended, and there is one turn still.
    ask(leaves=False)
    assert begun.wait(30)
    ask(leaves=False)
    assert not begun.wait(0.1)
    may_end.set()


@pytest.mark.parametrize("length", ["10000", "100000", "", None])
def test_a_request_that_holds_much_has_no_way_to_leave_its_turn(length: str | None) -> None:
    held: list[bool] = []

    def look(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        held.append(LEAVE not in environ)
        return []

    Turns(look, number=1, patience=PATIENCE)({"wsgi.input": BytesIO(), "CONTENT_LENGTH": length}, None)
    assert held == [True]


def test_events_that_wait_for_the_disk_have_no_turn(
    app: Flask, installation: Installation, keys: dict[str, str], running: dict[str, Any]
) -> None:
    is_busy, may_go_on, answers = Event(), Event(), []
    client = Client(Turns(app, number=1, patience=PATIENCE), TestResponse)

    def hold_up(_: Session) -> None:
        is_busy.set()
        assert may_go_on.wait(30)

    def order(visitor: str) -> None:
        event = {"userId": visitor, "event": "Order Completed", "messageId": "order", "properties": {"revenue": 1}}
        answers.append(client.post("/v1/track", json=event, headers=bearer(keys["server"])))

    threads = [Thread(target=installation.store.transact, args=(hold_up,))]
    threads[0].start()
    try:
        assert is_busy.wait(30)
        for visitor in ("ann", "bob", "cleo"):
            threads.append(Thread(target=order, args=(visitor,)))
            threads[-1].start()
        wait_until(lambda: installation.store.queued() == 3, what="all three wait for the disk")
    finally:
        may_go_on.set()
        for thread in threads:
            thread.join(30)
    assert [answer.json["accepted"] for answer in answers] == [1, 1, 1]
