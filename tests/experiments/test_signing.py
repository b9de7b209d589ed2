import hmac
from base64 import urlsafe_b64decode

from hypothesis import given
from hypothesis import strategies as st

from experiments.signing import pseudonym
from experiments.signing import pseudonyms
from experiments.signing import sign
from experiments.signing import sign_all
from experiments.signing import unsign
from tests.experiments.test_hashing import ANY_TEXT

KEYS = st.binary(min_size=32, max_size=32)


@given(payload=st.binary(max_size=200), key=KEYS, bound_to=st.lists(st.binary(max_size=100), max_size=8))
def test_what_is_signed_together_is_signed_as_if_alone(payload: bytes, key: bytes, bound_to: list[bytes]) -> None:
    together = sign_all(payload, key=key, bound_to=bound_to)
    assert together == [sign(payload, key=key, bound_to=each) for each in bound_to]
    assert all(unsign(text, key=key, bound_to=each) == payload for text, each in zip(together, bound_to, strict=True))


@given(visitors=st.lists(ANY_TEXT, max_size=8), key=KEYS)
def test_pseudonyms_of_many_are_those_of_each(visitors: list[str], key: bytes) -> None:
    assert pseudonyms(visitors, key=key) == [pseudonym(visitor, key=key) for visitor in visitors]


@given(text=st.binary(max_size=50), key=KEYS, cut=st.integers(0, 50), other=st.integers(0, 50))
def test_no_part_of_a_payload_can_pass_for_what_it_is_bound_to(text: bytes, key: bytes, cut: int, other: int) -> None:
    marks = [sign(text[:at], key=key, bound_to=text[at:]).split(".")[1] for at in (cut, other)]
    assert (marks[0] == marks[1]) == (text[:cut] == text[:other])


@given(payload=st.binary(max_size=200), key=KEYS, bound_to=st.binary(max_size=100))
def test_a_mark_is_the_beginning_of_an_hmac(payload: bytes, key: bytes, bound_to: bytes) -> None:
    mark = sign(payload, key=key, bound_to=bound_to).split(".")[1]
    whole = hmac.digest(key, len(payload).to_bytes(4) + payload + bound_to, "sha256")
    assert urlsafe_b64decode(mark + "==") == whole[:16]
