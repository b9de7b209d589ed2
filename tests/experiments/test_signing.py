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
