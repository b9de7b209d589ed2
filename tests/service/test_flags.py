"""Flags put together of parts say what they say when they are written whole."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from experiments.assignment import Assignment
from experiments.evaluation import Evaluation
from experiments.model import Role
from service.evaluations.flags import success
from service.evaluations.flags import written

_KEYS = st.text("abc019._-", min_size=1, max_size=8)
_ASSIGNMENTS = st.builds(
    Assignment, _KEYS, _KEYS, st.integers(0, 10_000), st.integers(1, 2**31),
    st.sampled_from(["allocated", "sticky", "not_running", "no_consent"]),
)
_MESSAGES = st.dictionaries(
    st.text(max_size=4), st.text(max_size=8) | st.just("{}") | st.just({}) | st.lists(st.integers()), max_size=3
)
_TOKENS = st.none() | st.text("abcXYZ019-_.", min_size=1)
_ROLES: st.SearchStrategy[Role] = st.sampled_from(["control", "mass", "tailored"])


@given(_KEYS, st.builds(Evaluation, _ASSIGNMENTS, _ROLES, _MESSAGES, _TOKENS))
def test_a_flag_of_parts_is_the_flag_written_whole(key: str, evaluation: Evaluation) -> None:
    assert msgspec.json.encode(written(key, evaluation)) == msgspec.json.encode(success(key, evaluation))
