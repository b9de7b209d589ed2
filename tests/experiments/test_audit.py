"""The audit log: a row for whatever changes the configuration, in its transaction, in a chain that shows tampering."""

import secrets
from collections.abc import Callable
from typing import Any

import pytest
from pysqlite3 import dbapi2 as sqlite3

from experiments import lifecycle
from experiments.audit import Change
from experiments.audit import Deed
from experiments.audit import Selection
from experiments.audit import audit_of
from experiments.audit import perform
from experiments.errors import BespokeError
from experiments.errors import ExperimentExists
from experiments.errors import InvalidTransition
from experiments.errors import UnknownKey
from experiments.errors import UnknownUser
from experiments.errors import UserExists
from experiments.keys import create_key
from experiments.keys import revoke_key
from experiments.people import change_password
from experiments.people import create_user
from experiments.people import remove_user
from experiments.reallocation import reallocate_due
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.verification import verify
from tests.experiments.documents import tiny
from tests.experiments.house import HOUR
from tests.experiments.house import START
from tests.experiments.house import House
from tests.experiments.tampering import tamper

DEED = Deed("ann", START)
PASSWORD = "a long enough password"


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


def rows(store: Store, **conditions: Any) -> list[dict[str, Any]]:
    """What the log says, the oldest row first."""
    selection = Selection(actor=None, subject=None, before=None, limit=1000)._replace(**conditions)
    return audit_of(store, selection).rows[::-1]


def told(store: Store) -> list[tuple[str, str, Any]]:
    return [(row["action"], row["subject"], row["details"]) for row in rows(store)]


def user(store: Store, email: str = "ann@shop.example") -> None:
    create_user(store, email, role="viewer", password=PASSWORD, hash_password=lambda text: "#", deed=DEED)


@pytest.mark.every_database
def test_a_campaign_from_its_draft_to_the_archive(house: House) -> None:
    key = house.start(tiny())
    lifecycle.replace(house.store, key, tiny(name="Another"), deed=DEED)
    for act in ("pause", "resume", "stop", "archive"):
        house.act(key, act)
    assert told(house.store) == [
        ("experiment create", key, {}),
        ("experiment start", key, {"from": "draft", "to": "running"}),
        ("experiment replace", key, {"changed": ["name"]}),
        ("experiment pause", key, {"from": "running", "to": "paused"}),
        ("experiment resume", key, {"from": "paused", "to": "running"}),
        ("experiment stop", key, {"from": "running", "to": "stopped"}),
        ("experiment archive", key, {"from": "stopped", "to": "archived"}),
    ]
    assert [row["actor"] for row in rows(house.store)] == ["test", "test", "ann", "test", "test", "test", "test"]


@pytest.mark.every_database
def test_a_reallocation_by_hand_is_told_and_the_schedulers_are_in_the_ledger(house: House) -> None:
    key = house.start(tiny())
    row = house.reallocate(key)
    assert len(reallocate_due(house.store, now_ms=house.now_ms + HOUR)) == 1
    assert told(house.store)[2:] == [("reallocate", key, {"epoch": row.epoch, "kind": row.kind})]


@pytest.mark.every_database
def test_keys_and_users(store: Store) -> None:
    key = create_key(
        store, scope="client", name="shop", origins=["https://shop.example"], random=secrets.token_bytes, deed=DEED
    )
    revoke_key(store, key[:12], deed=DEED)
    user(store)
    change_password(store, "Ann@shop.example", password=PASSWORD, hash_password=lambda text: "##", deed=DEED)
    remove_user(store, "ann@shop.example", deed=DEED)
    assert told(store) == [
        ("key create", key[:12], {"scope": "client", "name": "shop", "origins": ["https://shop.example"]}),
        ("key revoke", key[:12], {}),
        ("user create", "ann@shop.example", {"role": "viewer"}),
        ("user password", "ann@shop.example", {}),
        ("user remove", "ann@shop.example", {}),
    ]


@pytest.mark.every_database
@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (lambda store: lifecycle.create(store, tiny(), deed=DEED), ExperimentExists),
        (lambda store: lifecycle.act(store, "tiny", "resume", deed=DEED), InvalidTransition),
        (lambda store: revoke_key(store, "sk_nothing", deed=DEED), UnknownKey),
        (user, UserExists),
        (lambda store: remove_user(store, "bob@shop.example", deed=DEED), UnknownUser),
    ],
    ids=["create", "act", "revoke", "user", "remove"],
)
def test_what_is_refused_is_not_told(
    house: House, refused: Callable[[Store], object], error: type[BespokeError]
) -> None:
    house.start(tiny())
    user(house.store)
    before = rows(house.store)
    with pytest.raises(error):
        refused(house.store)
    assert rows(house.store) == before


@pytest.mark.every_database
def test_a_deed_and_its_row_are_written_together_or_not_at_all(store: Store) -> None:
    def work(session: Session) -> Change[None]:
        session.meta.set("name", "value")
        return Change(None, "do", "something", {"cannot be written": object()})

    with pytest.raises(TypeError):
        perform(store, work, deed=DEED)
    assert store.read(lambda session: session.meta.get("name")) is None
    assert rows(store) == []


@pytest.mark.every_database
def test_rows_are_asked_for_by_actor_by_subject_and_by_page(house: House) -> None:
    for number in range(5):
        lifecycle.create(house.store, tiny(key=f"e{number}"), deed=Deed("ann" if number % 2 else "bob", START))
    house.act("e1", "start")
    assert [row["subject"] for row in rows(house.store, actor="ann")] == ["e1", "e3"]
    assert [row["action"] for row in rows(house.store, subject="e1")] == ["experiment create", "experiment start"]
    first = audit_of(house.store, Selection(None, None, None, 4))
    second = audit_of(house.store, Selection(None, None, first.before, 4))
    assert [row["number"] for row in first.rows + second.rows] == [6, 5, 4, 3, 2, 1]
    assert (first.before, second.before) == (3, None)


@pytest.mark.every_database
@pytest.mark.parametrize(
    ("tampering", "saying"),
    [
        ("UPDATE audit SET body = replace(body, 'ann', 'bob') WHERE number = 2", "row 2: the body is not what was"),
        ("UPDATE audit SET actor = 'bob' WHERE number = 2", "row 2: it shows something else"),
        ("UPDATE audit SET at_ms = at_ms + 1 WHERE number = 1", "row 1: it shows something else"),
        ("DELETE FROM audit WHERE number = 2", "row 2 is missing"),
        ("DELETE FROM audit WHERE number = 1", "row 1 is missing"),
        ("UPDATE audit SET body = 'no json' WHERE number = 3", "row 3: the body is not what was"),
        (
            "INSERT INTO audit SELECT 4, at_ms, actor, action, subject, body, hash FROM audit WHERE number = 3",
            "row 4: it does not follow",
        ),
    ],
)
def test_verify_finds_what_was_tampered_with(store: Store, tampering: str, saying: str) -> None:
    for number in range(3):
        lifecycle.create(store, tiny(key=f"e{number}"), deed=DEED)
    assert verify(store) == []
    store.transact(lambda session: tamper(session.connection, tampering))
    assert any(saying in fault for fault in verify(store)), verify(store)


def test_a_second_row_of_a_number_cannot_be(store: Store) -> None:
    lifecycle.create(store, tiny(), deed=DEED)
    last = store.read(lambda session: session.audit.last())
    assert last is not None
    with pytest.raises(BespokeError) as refused:
        store.transact(lambda session: session.audit.append(last))
    assert isinstance(refused.value.__cause__, sqlite3.IntegrityError)
