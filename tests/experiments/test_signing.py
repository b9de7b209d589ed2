import hmac
from base64 import urlsafe_b64decode

import pytest
from hypothesis import assume
from hypothesis import given
from hypothesis import strategies as st

from experiments.errors import InvalidSignature
from experiments.signing import Succession
from experiments.signing import pseudonym
from experiments.signing import pseudonyms
from experiments.signing import sign
from experiments.signing import sign_all
from experiments.signing import unsign
from tests.experiments.test_hashing import ANY_TEXT

KEYS = st.binary(min_size=32, max_size=32)
SIGNING_KEYS = st.builds(Succession, KEYS)


@given(payload=st.binary(max_size=200), key=SIGNING_KEYS, bound_to=st.lists(st.binary(max_size=100), max_size=8))
def test_what_is_signed_together_is_signed_as_if_alone(
    payload: bytes, key: Succession, bound_to: list[bytes]
) -> None:
    together = sign_all(payload, key=key, bound_to=bound_to)
    assert together == [sign(payload, key=key, bound_to=each) for each in bound_to]
    assert all(unsign(text, key=key, bound_to=each) == payload for text, each in zip(together, bound_to, strict=True))


@given(visitors=st.lists(ANY_TEXT, max_size=8), key=KEYS)
def test_pseudonyms_of_many_are_those_of_each(visitors: list[str], key: bytes) -> None:
    assert pseudonyms(visitors, key=key) == [pseudonym(visitor, key=key) for visitor in visitors]


@given(text=st.binary(max_size=50), key=SIGNING_KEYS, cut=st.integers(0, 50), other=st.integers(0, 50))
def test_no_part_of_a_payload_can_pass_for_what_it_is_bound_to(
    text: bytes, key: Succession, cut: int, other: int
) -> None:
    marks = [sign(text[:at], key=key, bound_to=text[at:]).split(".")[1] for at in (cut, other)]
    assert (marks[0] == marks[1]) == (text[:cut] == text[:other])


@given(payload=st.binary(max_size=200), key=KEYS, bound_to=st.binary(max_size=100))
def test_a_mark_is_the_beginning_of_an_hmac(payload: bytes, key: bytes, bound_to: bytes) -> None:
    mark = sign(payload, key=Succession(key), bound_to=bound_to).split(".")[1]
    whole = hmac.digest(key, len(payload).to_bytes(4) + payload + bound_to, "sha256")
    assert urlsafe_b64decode(mark + "==") == whole[:16]


@given(payload=st.binary(max_size=200), first=KEYS, second=KEYS, bound_to=st.binary(max_size=100))
def test_while_one_key_follows_another_both_open_and_the_new_one_signs(
    payload: bytes, first: bytes, second: bytes, bound_to: bytes
) -> None:
    assume(first != second)
    before, both, after = Succession(first), Succession(second, first), Succession(second)
    old, new = (sign(payload, key=key, bound_to=bound_to) for key in (before, both))
    assert all(unsign(text, key=both, bound_to=bound_to) == payload for text in (old, new))
    assert unsign(new, key=after, bound_to=bound_to) == payload
    with pytest.raises(InvalidSignature):
        unsign(old, key=after, bound_to=bound_to)
    with pytest.raises(InvalidSignature):
        unsign(new, key=before, bound_to=bound_to)
