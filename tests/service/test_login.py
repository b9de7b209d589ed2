"""Logging in and out: the right password, a session that ends, and nothing for whoever has neither."""

import re
from contextlib import ExitStack
from http.cookies import SimpleCookie

import pytest
from argon2 import extract_parameters
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from experiments.audit import Deed
from experiments.errors import WrongLogin
from experiments.logins import Attempt
from experiments.logins import log_in
from experiments.people import change_password
from experiments.people import remove_user
from service.config import Config
from service.config import load_config
from service.installation import Installation
from service.people.login import ROOM
from service.people.passwords import hash_password
from service.people.passwords import nobodys_hash
from service.people.passwords import verify_password
from service.requests.local_paths import is_local
from tests.service.conftest import DEED
from tests.service.conftest import NOW_MS
from tests.service.conftest import SetClock
from tests.service.conftest import count_rows
from tests.service.people import COOKIE
from tests.service.people import PASSWORD
from tests.service.people import Someone
from tests.service.people import add_user
from tests.service.people import cheap_hash
from tests.service.people import form_token
from tests.service.people import logged_in


@pytest.fixture
def someone(app: Flask) -> Someone:
    """Somebody who is not logged in."""
    return Someone(app)


def is_in(someone: Someone) -> bool:
    return someone.open("/").status_code == 200


def test_the_right_password_lets_in(someone: Someone, installation: Installation) -> None:
    assert someone.open("/").location == "/login?next=/"
    answer = someone.log_in(add_user(installation, "viewer"))
    assert (answer.status_code, answer.location) == (303, "/")
    assert is_in(someone)


def test_an_e_mail_is_known_in_any_case_and_with_spaces_around(someone: Someone, installation: Installation) -> None:
    add_user(installation, "viewer", email="Ann@Shop.Example")
    assert someone.log_in(" aNN@shop.example ").status_code == 303


def test_one_goes_on_to_where_one_was_going(someone: Someone, installation: Installation) -> None:
    email = add_user(installation, "admin")
    asked = someone.open("/audit?actor=test&limit=5")
    page = someone.open(asked.location)
    assert 'name="next" value="/audit?actor=test&amp;limit=5"' in page.text
    assert someone.log_in(email, next="/audit?actor=test&limit=5").location == "/audit?actor=test&limit=5"
    assert someone.open("/login?next=/audit").location == "/audit"


@pytest.mark.parametrize(
    ("email", "password"),
    [("viewer@shop.example", PASSWORD + "x"), ("viewer@shop.example", ""), ("nobody@shop.example", PASSWORD)],
)
def test_a_wrong_password_and_an_unknown_e_mail_are_told_the_same(
    someone: Someone, installation: Installation, email: str, password: str
) -> None:
    add_user(installation, "viewer")
    answer = someone.log_in(email, password=password)
    assert answer.status_code == 403
    assert answer.text.replace(email, "") == someone.log_in("other@shop.example").text.replace("other@shop.example", "")
    assert "The e-mail or the password is wrong." in answer.text
    assert not is_in(someone)
    assert count_rows(installation, "sessions") == 0


def test_an_unknown_e_mail_costs_as_much_as_a_wrong_password() -> None:
    assert extract_parameters(nobodys_hash()) == extract_parameters(hash_password(PASSWORD))
    assert not verify_password(PASSWORD, None)


def test_a_password_is_the_same_however_a_keyboard_composes_it() -> None:
    assert verify_password("a caf\u00e9 in Dijon", hash_password("a cafe\u0301 in Dijon"))


@pytest.mark.parametrize("email", ["", "ann", "a b@c.d", "ann@", "@shop.example", "a@b@c", "a" * 300 + "@b.c", "a@\0"])
def test_what_is_no_e_mail_is_told_so(someone: Someone, installation: Installation, email: str) -> None:
    answer = someone.log_in(email)
    assert answer.status_code == 422
    assert "must be like ann@shop.example" in answer.text
    assert count_rows(installation, "audit") == 0


def test_who_fails_again_and_again_waits_twice_as_long_each_time(
    someone: Someone, installation: Installation, clock: SetClock
) -> None:
    email = add_user(installation, "viewer")
    for _ in range(10):
        assert someone.log_in(email, password="wrong").status_code == 403
    for wait in (1, 2, 4):
        answer = someone.log_in(email)
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, str(wait))
        assert f"try again in {wait} s" in answer.text
        assert someone.log_in("other@shop.example", password="wrong").status_code == 403
        clock.advance(seconds=wait)
        assert someone.log_in(email, password="wrong").status_code == 403
    clock.advance(seconds=8)
    assert someone.log_in(email).status_code == 303
    assert someone.send("/logout", on="/").status_code == 303
    assert someone.log_in(email, password="wrong").status_code == 403


def test_whoever_has_a_whole_network_has_one_address(app: Flask, installation: Installation) -> None:
    emails = [add_user(installation, "viewer", email=f"{number}@shop.example") for number in range(6)]
    for number in range(51):
        someone = Someone(app)
        someone.client.environ_base["REMOTE_ADDR"] = f"2001:db8::{number}"
        answer = someone.log_in(emails[number % 6], password="wrong")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert Someone(app).log_in(emails[0]).status_code == 303


def test_while_several_log_in_the_next_is_asked_to_try_again(someone: Someone, installation: Installation) -> None:
    email = add_user(installation, "viewer")
    with ExitStack() as others:
        for _ in range(4):
            others.enter_context(ROOM)
        answer = someone.log_in(email)
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert someone.log_in(email).status_code == 303


def test_a_login_is_no_change_of_what_servers_work_by(someone: Someone, installation: Installation) -> None:
    # Else whoever fails to log in would have every client fetch its payload again.
    email, before = add_user(installation, "viewer"), installation.snapshots.refresh()
    someone.log_in(email, password="wrong")
    someone.log_in(email)
    assert installation.snapshots.refresh() is before


def test_logging_out_ends_the_session_at_once(app: Flask, installation: Installation) -> None:
    someone = logged_in(app, installation, "viewer")
    thief = Someone(app)
    thief.client.set_cookie(COOKIE, str(someone.cookie()))
    assert is_in(thief)
    assert someone.send("/logout", on="/").location == "/login"
    assert someone.cookie() is None
    assert not is_in(someone) and not is_in(thief)
    assert count_rows(installation, "sessions") == 0


def test_a_session_ends_by_itself(app: Flask, installation: Installation, clock: SetClock) -> None:
    someone = logged_in(app, installation, "viewer")
    clock.advance(seconds=12 * 3600 - 1)
    assert is_in(someone)
    clock.advance(seconds=1)
    assert not is_in(someone)
    assert someone.log_in("viewer@shop.example").status_code == 303
    assert count_rows(installation, "sessions") == 1


def test_a_session_is_seen_to_the_minute(app: Flask, installation: Installation, clock: SetClock) -> None:
    someone = logged_in(app, installation, "viewer")

    def seen_ms() -> int:
        query = "SELECT seen_ms FROM sessions"
        return int(installation.store.read(lambda session: session.connection.execute(query).fetchone()[0]))

    clock.advance(seconds=59)
    assert is_in(someone) and seen_ms() == NOW_MS
    clock.advance(seconds=1)
    assert is_in(someone) and seen_ms() == NOW_MS + 60_000


@pytest.mark.parametrize("ending", ["removal", "password"])
def test_removal_and_another_password_end_every_session_at_once(
    app: Flask, installation: Installation, ending: str
) -> None:
    here = logged_in(app, installation, "admin")
    there = Someone(app)
    there.log_in("admin@shop.example")
    assert is_in(here) and is_in(there)
    if ending == "removal":
        remove_user(installation.store, "admin@shop.example", deed=DEED)
    else:
        change_password(
            installation.store, "admin@shop.example", password="a new password", hash_password=cheap_hash, deed=DEED
        )
    assert not is_in(here) and not is_in(there)
    assert here.log_in("admin@shop.example").status_code == 403


def test_nobody_can_fix_the_session_of_somebody_else(app: Flask, installation: Installation) -> None:
    email, planted = add_user(installation, "viewer"), "A" * 43
    someone, attacker = Someone(app), Someone(app)
    for each in (someone, attacker):
        each.client.set_cookie(COOKIE, planted)
    assert someone.log_in(email).status_code == 303
    assert someone.cookie() != planted
    assert is_in(someone) and not is_in(attacker)


def test_logging_in_again_ends_the_session_before(app: Flask, installation: Installation) -> None:
    someone = logged_in(app, installation, "viewer")
    before, token = str(someone.cookie()), form_token(someone.open("/"))
    fields = {"form_token": token, "email": "viewer@shop.example", "password": PASSWORD}
    assert someone.open("/login", method="POST", data=fields).status_code == 303
    assert someone.cookie() != before
    someone.client.set_cookie(COOKIE, before)
    assert not is_in(someone)


def cookie_of(answer_headers: list[str]) -> tuple[str, dict[str, object]]:
    morsels = SimpleCookie(answer_headers[-1])
    ((name, morsel),) = morsels.items()
    return name, {key: value for key, value in morsel.items() if value and key != "expires"}


def test_the_cookie_is_for_this_host_and_no_script(someone: Someone, installation: Installation) -> None:
    answer = someone.log_in(add_user(installation, "viewer"))
    name, flags = cookie_of(answer.headers.getlist("Set-Cookie"))
    assert name == COOKIE
    assert flags == {"httponly": True, "samesite": "Lax", "path": "/", "max-age": str(12 * 3600)}


def test_over_https_the_cookie_is_for_https_alone(app: Flask, installation: Installation) -> None:
    someone = Someone(app, base_url="https://localhost")
    answer = someone.log_in(add_user(installation, "viewer"))
    name, flags = cookie_of(answer.headers.getlist("Set-Cookie"))
    assert name == f"__Host-{COOKIE}"
    assert flags == {"httponly": True, "secure": True, "samesite": "Lax", "path": "/", "max-age": str(12 * 3600)}
    assert is_in(someone)
    planted = Someone(app, base_url="https://localhost")
    planted.client.set_cookie(COOKIE, str(someone.cookie(f"__Host-{COOKIE}")))
    assert not is_in(planted)


class TestBehindAProxy:
    @pytest.fixture
    def config(self, tmp_path: object) -> Config:
        return load_config({"BESPOKE_DATABASE_URL": f"sqlite:///{tmp_path}/bespoke.db", "BESPOKE_HTTPS": "always"})

    def test_the_setting_makes_cookies_secure(self, someone: Someone) -> None:
        (header,) = someone.open("/login").headers.getlist("Set-Cookie")
        assert re.match(rf"__Host-{COOKIE}=[\w-]{{43}}; Secure; HttpOnly; Path=/; SameSite=Lax", header)


ELSEWHERE = [
    "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "evil.example",
    "javascript:alert(1)", "/\t/evil.example", "\t//evil.example", " //evil.example", "/\n/evil.example", "",
    "/\r\nX: y", "/\u2028", "/" + "a" * 2000,
]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_a_login_sends_nobody_to_another_server(someone: Someone, installation: Installation, path: str) -> None:
    email = add_user(installation, "viewer")
    asked = someone.open("/login", query_string={"next": path})
    sent = someone.log_in(email, next=path)
    assert (asked.status_code, sent.status_code) == (400, 400)
    assert "must be a path of this server" in sent.text
    assert not is_in(someone)


@given(st.text(st.sampled_from("/\\.:@?#%&=aevil\t\r\n\0 é"), max_size=12))
def test_a_local_path_has_no_other_host_to_browsers(text: str) -> None:
    # What browsers do first: they drop tabs and newlines, and take a backslash for a slash.
    seen = re.sub(r"[\t\r\n]", "", text).strip("\0 ").replace("\\", "/")
    if is_local(text):
        assert seen.startswith("/") and not seen.startswith("//")


def test_a_user_who_changes_while_logging_in_is_not_let_in(app: Flask, installation: Installation) -> None:
    email = add_user(installation, "viewer")

    def slow(password: str, password_hash: str | None) -> bool:
        remove_user(installation.store, email, deed=Deed("test", NOW_MS))
        return True

    with pytest.raises(WrongLogin):
        log_in(
            installation.store,
            Attempt(email, PASSWORD, "127.0.0.1", "A" * 43),
            verify_password=slow,
            lifetime_seconds=60,
            now_ms=NOW_MS,
            random=bytes,
        )
    assert count_rows(installation, "sessions") == 0
