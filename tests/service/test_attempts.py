"""Attempts to log in: who fails waits, and the memory of it is bounded."""

from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address

from service.people.attempts import Attempts
from tests.service.conftest import NOW_MS


def fail(attempts: Attempts, times: int, *, email: str = "{}@x", address: str = "10.0.0.1", at_ms: int = NOW_MS) -> int:
    """Fail so many times; the seconds to wait at the last."""
    waits = [attempts.begin(email=email.format(n), address=address, now_ms=at_ms) for n in range(times)]
    return waits[-1]


def test_an_address_may_fail_with_many_e_mails_before_it_waits() -> None:
    attempts = Attempts()
    assert fail(attempts, 50) == 0
    assert fail(attempts, 1) == 1
    assert fail(attempts, 1, address="10.0.0.2", email="other@x") == 0


def test_success_forgets_the_e_mail_and_leaves_the_address_as_it_was() -> None:
    attempts = Attempts()
    fail(attempts, 49)
    for _ in range(30):
        assert attempts.begin(email="own@x", address="10.0.0.1", now_ms=NOW_MS) == 0
        attempts.succeed(email="own@x", address="10.0.0.1")
    assert fail(attempts, 1) == 0
    assert fail(attempts, 1) == 1


def test_no_wait_is_longer_than_a_quarter_of_an_hour_and_all_is_forgotten_after_one() -> None:
    attempts, at_ms = Attempts(), NOW_MS
    for _ in range(40):
        wait = fail(attempts, 1, email="ann@x", at_ms=at_ms)
        at_ms += wait * 1000
    assert wait <= 900
    assert fail(attempts, 1, email="ann@x", at_ms=at_ms + 1) in (0, 900)
    assert fail(attempts, 9, email="ann@x", at_ms=at_ms + 3_600_001) == 0


def test_many_at_once_are_no_way_around() -> None:
    attempts = Attempts()
    with ThreadPoolExecutor(16) as threads:
        waits = list(threads.map(lambda n: fail(attempts, 1, email="ann@x", address=f"10.1.0.{n}"), range(99)))
    assert waits.count(0) == 10


def test_the_memory_of_failures_is_bounded_and_keeps_the_latest() -> None:
    attempts = Attempts()
    for number in range(30_000):
        fail(attempts, 1, email=f"{number}@x", address=str(IPv4Address(number)))
        if number % 1000 == 0:
            fail(attempts, 1, email="ann@x", address="192.168.0.1")
    assert fail(attempts, 1, email="ann@x", address="192.168.0.2") == 1
    assert len(attempts._tallies) <= 10_000
