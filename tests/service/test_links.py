"""Links to a report: good for one experiment until they expire, and only if they were made here."""

import pytest

from experiments.errors import InvalidSignature
from experiments.signing import keyring
from experiments.signing import sign
from service.people.links import read_link
from service.people.links import report_link

KEYS = keyring(b"s" * 32)
NOW_MS = 1_800_000_000_000


def link(key: str = "tiny", *, expires_ms: int = NOW_MS + 1) -> str:
    """The signed text of a link."""
    address = report_link(key, address="http://localhost:8000", expires_ms=expires_ms, keyring=KEYS)
    start, text = address.split("?link=")
    assert start == f"http://localhost:8000/experiments/{key}"
    return text


def test_a_link_opens_its_experiment_until_it_expires() -> None:
    assert read_link(link(), "tiny", now_ms=NOW_MS, keyring=KEYS) == NOW_MS + 1


def test_a_link_that_has_expired_is_refused() -> None:
    with pytest.raises(InvalidSignature, match="expired"):
        read_link(link(), "tiny", now_ms=NOW_MS + 1, keyring=KEYS)


def test_a_link_is_for_one_experiment() -> None:
    with pytest.raises(InvalidSignature, match="another experiment"):
        read_link(link(), "other", now_ms=NOW_MS, keyring=KEYS)


@pytest.mark.parametrize("text", ["", ".", "a.b", "a.b.c", "\ud800.x", "é.é", link() + "x", link()[1:], "A" * 10**6])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidSignature):
        read_link(text, "tiny", now_ms=NOW_MS, keyring=KEYS)


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b'["tiny"]', b'["tiny", "soon"]', b'["tiny", 1, 2]', b'["tiny", 1e400]']
)
def test_a_signed_text_that_is_no_link_is_refused(payload: bytes) -> None:
    with pytest.raises(InvalidSignature):
        read_link(sign(payload, key=KEYS.links), "tiny", now_ms=NOW_MS, keyring=KEYS)


def test_a_token_is_no_link() -> None:
    with pytest.raises(InvalidSignature):
        read_link(sign(b'["tiny", 9000000000000]', key=KEYS.tokens), "tiny", now_ms=NOW_MS, keyring=KEYS)
