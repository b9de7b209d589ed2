"""Seals: only the secret that made one opens it, and nothing of what is in it can be seen or changed."""

import pytest
from hypothesis import assume
from hypothesis import given
from hypothesis import strategies as st

from experiments.errors import InvalidSignature
from experiments.sealing import NONCE_BYTES
from experiments.sealing import seal
from experiments.sealing import unseal
from experiments.signing import Succession
from experiments.signing import sign
from experiments.signing import unsign

KEYS = st.binary(min_size=1, max_size=200)
SECRETS = st.binary(min_size=32, max_size=64)
NONCES = st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES)


def body_of(text: str, secret: bytes) -> bytes:
    """What is signed in a seal: the nonce, and what is hidden."""
    return unsign(text, key=Succession(secret).derived("seals"))


@given(key=KEYS, secret=SECRETS, nonce=NONCES)
def test_what_is_sealed_is_opened_with_its_secret(key: bytes, secret: bytes, nonce: bytes) -> None:
    assert unseal(seal(key, secret=secret, nonce=nonce), secret=secret) == key


@given(key=KEYS, secret=SECRETS, other=SECRETS, nonce=NONCES)
def test_no_other_secret_opens_it(key: bytes, secret: bytes, other: bytes, nonce: bytes) -> None:
    assume(secret != other)
    with pytest.raises(InvalidSignature):
        unseal(seal(key, secret=secret, nonce=nonce), secret=other)


@given(key=KEYS, secret=SECRETS, nonce=NONCES, data=st.data())
def test_no_letter_of_it_can_be_changed(key: bytes, secret: bytes, nonce: bytes, data: st.DataObject) -> None:
    text = seal(key, secret=secret, nonce=nonce)
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("ABCghi019-_.").filter(lambda letter: letter != text[at]))
    try:
        assert unseal(text[:at] + letter + text[at + 1 :], secret=secret) == key
    except InvalidSignature:
        return
    # The last letter of base64 has bits that mean nothing.
    assert at in (text.index(".") - 1, len(text) - 1)


@given(secret=SECRETS, nonces=st.lists(NONCES, min_size=2, max_size=2, unique=True))
def test_each_nonce_has_a_stream_of_its_own(secret: bytes, nonces: list[bytes]) -> None:
    streams = [body_of(seal(bytes(64), secret=secret, nonce=nonce), secret)[NONCE_BYTES:] for nonce in nonces]
    blocks = [stream[at : at + 32] for stream in streams for at in (0, 32)]
    assert len(set(blocks)) == 4


def test_a_token_of_the_same_secret_is_no_seal() -> None:
    secret = b"s" * 32
    with pytest.raises(InvalidSignature):
        unseal(sign(b"x" * 48, key=Succession(secret).derived("tokens")), secret=secret)
