"""`Idempotency-Key`: a write that is sent again takes effect once, and is answered as it was."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from experiments.errors import IdempotencyKeyReused
from experiments.repetition import Claim
from experiments.repetition import KEPT_SECONDS
from experiments.repetition import Reply
from experiments.repetition import once
from experiments.storage.session import Session
from experiments.storage.sqlite import connect
from experiments.storage.sqlite import immediate
from experiments.storage.sqlite import split_statements
from experiments.storage.sqlite import steps
from experiments.storage.store import Store
from experiments.storage.store import migrate_database
from experiments.storage.store import open_store
from service.installation import Installation
from service.requests.idempotency import HEADER
from service.requests.idempotency import InFlight
from service.requests.idempotency import REPLAYED
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny
from tests.service.conftest import SetClock
from tests.service.conftest import bearer
from tests.service.conftest import count_rows
from tests.service.processes import Installed
from tests.service.processes import ServerProcess
from tests.service.test_auth import new_key


class Desk:
    """A marketer whose requests carry an idempotency key."""

    def __init__(self, client: FlaskClient, key: str) -> None:
        self.client = client
        self.key = key

    def ask(self, method: str, path: str, body: Any = None, *, under: str = "once") -> TestResponse:
        """One request below the experiments."""
        headers = {**bearer(self.key), HEADER: under}
        return self.client.open(f"/v1/experiments{path}", method=method, json=body, headers=headers)


@pytest.fixture(name="desk")
def _desk(client: FlaskClient, keys: dict[str, str]) -> Desk:
    return Desk(client, keys["admin"])


def same(first: TestResponse, again: TestResponse) -> bool:
    kept = ("Content-Type", "Location")
    return (first.status_code, first.data, *map(first.headers.get, kept)) == (
        again.status_code, again.data, *map(again.headers.get, kept),
    )


def test_a_creation_sent_again_is_answered_as_it_was(desk: Desk, installation: Installation) -> None:
    first, again = (desk.ask("POST", "", tiny()) for _ in range(2))
    assert (first.status_code, first.headers.get(REPLAYED)) == (201, None)
    assert same(first, again)
    assert again.headers[REPLAYED] == "true"
    assert again.headers["Location"] == "/v1/experiments/tiny"
    assert count_rows(installation, "experiments") == 1


@pytest.mark.parametrize("act", ["start", "pause", "resume", "stop", "archive"])
def test_an_act_sent_again_is_answered_as_it_was(desk: Desk, act: str) -> None:
    desk.ask("POST", "", tiny(), under="create")
    for before in ("start", "pause", "resume", "stop", "archive"):
        if before == act:
            break
        desk.ask("POST", f"/tiny/{before}", under=before)
    first, again = (desk.ask("POST", f"/tiny/{act}") for _ in range(2))
    assert first.status_code == 200
    assert same(first, again) and again.headers[REPLAYED] == "true"


def test_an_answer_of_then_stays_though_the_experiment_went_on(desk: Desk) -> None:
    desk.ask("POST", "", tiny(), under="create")
    first = desk.ask("POST", "/tiny/start")
    desk.ask("POST", "/tiny/pause", under="pause")
    again = desk.ask("POST", "/tiny/start")
    assert same(first, again)
    assert again.json["state"] == "running"
    assert desk.client.get("/v1/experiments/tiny", headers=bearer(desk.key)).json["state"] == "paused"


def test_a_reallocation_sent_again_adds_one_row_to_the_ledger(
    desk: Desk, running: dict[str, Any], installation: Installation
) -> None:
    before = count_rows(installation, "ledger")
    first, again = (desk.ask("POST", "/spring-mailing/reallocate") for _ in range(2))
    assert first.status_code == 200
    assert same(first, again) and again.headers[REPLAYED] == "true"
    assert count_rows(installation, "ledger") == before + 1


def test_a_replacement_sent_again_does_not_undo_what_came_between(desk: Desk) -> None:
    desk.ask("POST", "", tiny(), under="create")
    first = desk.ask("PUT", "/tiny", tiny(name="Old"))
    desk.ask("PUT", "/tiny", tiny(name="New"), under="another")
    assert same(first, desk.ask("PUT", "/tiny", tiny(name="Old")))
    assert desk.client.get("/v1/experiments/tiny", headers=bearer(desk.key)).json["name"] == "New"


@pytest.mark.parametrize(("method", "path", "body"), [
    ("POST", "", tiny(name="Another")), ("POST", "/tiny/start", None), ("PUT", "/tiny", tiny()),
    ("POST", "", {"key": "?"}), ("POST", "/nowhere/start", None),
])
def test_a_key_of_another_request_is_refused_and_nothing_is_done(
    desk: Desk, installation: Installation, method: str, path: str, body: Any
) -> None:
    desk.ask("POST", "", tiny())
    response = desk.ask(method, path, body)
    assert (response.status_code, response.json["code"]) == (422, "idempotency_key_reused")
    assert "'once'" in response.json["detail"]
    assert desk.client.get("/v1/experiments/tiny", headers=bearer(desk.key)).json["state"] == "draft"
    assert count_rows(installation, "experiments") == 1


def test_what_is_refused_has_no_effect_and_may_be_tried_again_under_the_same_key(desk: Desk) -> None:
    assert desk.ask("POST", "", tiny(audience=0)).status_code == 422
    assert desk.ask("POST", "/tiny/start").status_code == 404
    assert desk.ask("POST", "", tiny()).status_code == 201


def test_each_api_key_has_idempotency_keys_of_its_own(desk: Desk, installation: Installation) -> None:
    other = Desk(desk.client, new_key(installation, "admin"))
    assert desk.ask("POST", "", tiny()).status_code == 201
    response = other.ask("POST", "", tiny())
    assert (response.status_code, response.json["code"]) == (409, "experiment_exists")


def test_without_a_key_nothing_is_kept(desk: Desk, installation: Installation) -> None:
    desk.client.post("/v1/experiments", json=tiny(), headers=bearer(desk.key))
    assert count_rows(installation, "replies") == 0


@pytest.mark.parametrize("key", ["", "a" * 256, "caf\u00e9", "tab\tinside"])
def test_a_key_that_is_none_is_refused(desk: Desk, installation: Installation, key: str) -> None:
    response = desk.ask("POST", "", tiny(), under=key)
    assert (response.status_code, response.json["code"]) == (400, "invalid_idempotency_key")
    assert "1 to 255 printable" in response.json["detail"]
    assert count_rows(installation, "experiments") == 0


@pytest.mark.parametrize("key", ["a", "~" * 255, '"quoted", with spaces'])
def test_any_printable_text_is_a_key(desk: Desk, key: str) -> None:
    assert desk.ask("POST", "", tiny(), under=key).status_code == 201
    assert desk.ask("POST", "", tiny(), under=key).headers[REPLAYED] == "true"


def test_reading_pays_no_heed_to_a_key(desk: Desk, running: dict[str, Any]) -> None:
    for _ in range(2):
        response = desk.ask("GET", "/spring-mailing", under="")
        assert (response.status_code, response.headers.get(REPLAYED)) == (200, None)


def test_after_a_day_a_key_is_free_again(desk: Desk, clock: SetClock) -> None:
    desk.ask("POST", "", tiny())
    clock.advance(seconds=KEPT_SECONDS)
    assert desk.ask("POST", "", tiny()).headers[REPLAYED] == "true"
    clock.advance(seconds=1)
    assert desk.ask("POST", "", spring_mailing()).status_code == 201


def test_old_answers_are_deleted_a_few_with_every_write(
    desk: Desk, installation: Installation, clock: SetClock
) -> None:
    desk.ask("POST", "", tiny(), under="create")
    for number in range(150):
        desk.ask("PUT", "/tiny", tiny(), under=f"put-{number}")
    clock.advance(seconds=KEPT_SECONDS + 1)
    left = []
    for number in range(3):
        desk.ask("PUT", "/tiny", tiny(), under=f"later-{number}")
        left.append(count_rows(installation, "replies"))
    assert left == [52, 2, 3]


def test_a_request_that_is_being_worked_on_is_not_begun_again(desk: Desk, installation: Installation) -> None:
    # The writer is held up, so that the first request is in flight for as long as the test wants.
    held, free = Event(), Event()

    def hold(session: Session) -> None:
        held.set()
        free.wait(10)

    with ThreadPoolExecutor(2) as threads:
        holding = threads.submit(installation.store.transact, hold)
        held.wait(10)
        first = threads.submit(Desk(desk.client.application.test_client(), desk.key).ask, "POST", "", tiny())
        in_flight = desk.client.application.extensions["idempotency"]
        while not in_flight.held:
            pass
        second = desk.ask("POST", "", tiny())
        free.set()
        holding.result()
    assert (second.status_code, second.json["code"]) == (409, "idempotency_in_flight")
    assert first.result().status_code == 201
    assert same(first.result(), desk.ask("POST", "", tiny()))


def test_many_at_once_take_effect_once_and_are_answered_alike(desk: Desk, installation: Installation) -> None:
    def ask(_: int) -> TestResponse:
        return Desk(desk.client.application.test_client(), desk.key).ask("POST", "", tiny())

    with ThreadPoolExecutor(8) as threads:
        responses = list(threads.map(ask, range(40)))
    done = [response for response in responses if response.status_code == 201]
    assert {response.json["code"] for response in responses if response not in done} <= {"idempotency_in_flight"}
    assert len({response.data for response in done}) == 1
    assert sum(REPLAYED not in response.headers for response in done) == 1
    assert count_rows(installation, "experiments") == 1


CLAIM = Claim("sk_a", "once", b"digest")


def answer_once(store: Store, claim: Claim = CLAIM, *, fails: bool = False) -> Reply:
    def work(store: Store) -> str:
        return store.transact(lambda session: session.meta.set("done", str(session.meta.get("done")) + "!") or "yes")

    def reply(session: Session, result: str) -> Reply:
        if fails:
            raise ValueError("no answer can be made")
        return Reply(200, result.encode())

    return once(store, claim, work=work, reply=reply, now_ms=0)


def test_an_answer_that_cannot_be_kept_undoes_its_effect(store: Store) -> None:
    with pytest.raises(ValueError, match="no answer"):
        answer_once(store, fails=True)
    assert store.read(lambda session: session.meta.get("done")) is None
    assert answer_once(store) == Reply(200, b"yes")
    assert answer_once(store) == Reply(200, b"yes", is_repeated=True)
    assert store.read(lambda session: session.meta.get("done")) == "None!"


def test_two_processes_that_work_on_one_request_do_it_once(opened: Any) -> None:
    # Each believes that it is the first: what is known is looked up before the other has committed.
    serving, beside = opened(True), opened(False)
    try:
        def work(store: Store) -> str:
            answer_once(beside)
            return store.transact(lambda session: session.meta.set("done", "twice") or "no")

        reply = once(serving, CLAIM, work=work, reply=lambda session, result: Reply(200, result.encode()), now_ms=0)
        assert reply == Reply(200, b"yes", is_repeated=True)
        assert serving.read(lambda session: session.meta.get("done")) == "None!"
        with pytest.raises(IdempotencyKeyReused):
            answer_once(beside, CLAIM._replace(digest=b"another"))
    finally:
        beside.close()
        serving.close()


@settings(max_examples=50, derandomize=True)
@given(st.lists(st.sampled_from("abc"), max_size=6))
def test_whoever_holds_a_key_is_alone_and_frees_it(names: list[str]) -> None:
    in_flight = InFlight()
    for name in names:
        with in_flight.hold(Claim("actor", name, b"")):
            assert in_flight.held == {("actor", name)}
    assert not in_flight.held


def test_a_database_of_the_version_before_gets_the_table(tmp_path: Path) -> None:
    path = tmp_path / "bespoke.db"
    connection = connect(path, checkpoints=True)
    name, statements = steps()[0]
    with immediate(connection):
        connection.execute("CREATE TABLE migrations (name TEXT PRIMARY KEY, applied_at TEXT DEFAULT CURRENT_TIMESTAMP)")
        for statement in split_statements(statements):
            connection.execute(statement)
        connection.execute("INSERT INTO migrations (name) VALUES (?)", (name,))
    connection.close()
    assert migrate_database(path, fingerprint="one")[0] == "0002_replies"
    store = open_store(path, fingerprint="one")
    assert answer_once(store).body == b"yes"
    store.close()


def test_a_request_sent_again_after_a_kill_is_answered_as_it_was(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    with installed.opened() as installation:
        key = new_key(installation, "admin")
    server = ServerProcess(installed)
    try:
        first = server.ask("POST", "/v1/experiments", tiny(), key=key, under="once")
        server.kill_everything()
        server.start()
        assert server.ask("POST", "/v1/experiments", tiny(), key=key, under="once") == first
        assert first[0] == 201
        assert server.ask("POST", "/v1/experiments", tiny(), key=key)[0] == 409
    finally:
        server.end()
