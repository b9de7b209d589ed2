"""The fast reading of JSON agrees with the strict one on every text: value, types and refusal."""

import json
from typing import Any

import pytest
from hypothesis import example
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from service.errors import Refused
from service.requests import quick_json
from service.requests.bodies import DEEPEST
from service.requests.bodies import parse
from service.requests.bodies import parse_strictly

_characters = st.sampled_from('ab"\\[]{}:,é😀\x00\x1f\x7f\u2028') | st.characters(exclude_categories=["Cs"])
_texts = st.text(_characters, max_size=8)
_numbers = st.integers() | st.integers(-(10**40), 10**40) | st.floats(allow_nan=False, allow_infinity=False)
_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(_texts, values, max_size=4),
    max_leaves=12,
)
_written = st.builds(
    lambda value, ascii, indent: json.dumps(value, ensure_ascii=ascii, indent=indent).encode(),
    _values, st.booleans(), st.sampled_from([None, 1]),
)
#: Pieces that texts are put together from, most of which make no JSON, and some of it what only one parser minds.
_PIECES = (
    "{", "}", "[", "]", ":", ",", '"', '"a"', '"a":', '"a":1', '"\\u0061":2', '"[', ']"', '"\\""', "\\", "\\u",
    "\\ud800", "\\ude00",
    '"\\ud83d\\ude00"', "1", "-", "-0", "0.1", "1e999", "1e-999", "9" * 30, "1" * 5000, "NaN", "Infinity",
    "true", "null", " ", "\n", "\t", "\x0c", "\ufeff", "\x00", "é",
)
_put_together = st.lists(st.sampled_from(_PIECES), max_size=12).map(lambda pieces: "".join(pieces).encode())


@st.composite
def _spoiled(draw: st.DrawFn) -> bytes:
    """JSON with a byte or two changed, put in or taken away, or said twice."""
    text = draw(_written)
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.integers(0, len(text)))
        put = draw(st.binary(max_size=2) | st.sampled_from(_PIECES).map(str.encode) | st.just(text[place : place + 6]))
        text = text[:place] + put + text[place + draw(st.integers(0, 2)) :]
    return text


def _outcome(read: Any, data: bytes) -> tuple[Any, ...]:
    try:
        return ("value", repr(read(data)))
    except Refused as refused:
        return (refused.code, refused.stable_code, refused.description)


@settings(max_examples=1500)
@given(_written | _put_together | _spoiled())
@example(b'{"a": 1, "a": 1}')
@example(b'{"a": {"b": 1, "\\u0062": 2}}')
@example(b'["\\"", {"\\"": 1, "\\"": 2}]')
@example(b'{"a\\\\": 1, "a\\\\": 2}')
@example(b"[" * 100_000)
@example(b"\xff\xfe[\x00")
@example(b"1" * 400)
def test_both_readings_agree_on_every_text(data: bytes) -> None:
    assert _outcome(parse, data) == _outcome(parse_strictly, data)


@pytest.mark.parametrize("depth", [DEEPEST - 1, DEEPEST, DEEPEST + 1, 40])
@pytest.mark.parametrize("inside", [b"", b'"]]]]]]]]]]"', b'"[[[[[[[[[["', b'"\\"[", "]"', b'"", "[]", ""'])
def test_both_readings_agree_on_how_deep_a_text_may_be(depth: int, inside: bytes) -> None:
    for opening, closing in ((b"[", b"]"), (b'{"[": ', b"}"), (b'["]", ', b"]")):
        data = opening * depth + (inside or b"1") + closing * depth
        assert _outcome(parse, data) == _outcome(parse_strictly, data)


@settings(max_examples=200)
@given(_values)
def test_what_clients_write_is_read_fast(value: Any) -> None:
    events = {"batch": [{"type": "track", "userId": "ann", "properties": {"said": str(value)}}], "sentAt": None}
    assert quick_json.read(json.dumps(events).encode(), deepest=DEEPEST) == events
