"""Lines are read quickly exactly as the strict parser reads them, and refused exactly where it refuses."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from experiments.errors import InvalidContext
from service.errors import Refused
from service.evaluations.visitor_lines import read_visitors
from service.requests.bodies import DEEPEST
from service.requests.bodies import parse

VISITOR = '{"id": "ann", "attributes": {"womens": %s, "tags": [1, "a", null]}, "consent": "none", "token": "a.b"}'

#: What stands between members, in texts and where it must not.
PIECES = st.sampled_from([
    b'"', b"\\", b":", b" ", b"{", b"}", b"[", b"]", b",", b"0", b"1", b"-", b"e9", b".", b"null", b"true", b"NaN",
    b'"id":"b",', b'"id" :"b",', b'"\\u0069d":"b",', b'"x":1e999,', b"\\ud800", b"\\ud83d\\ude00", b"\xed\xa0\x80",
    b"\xff", b"\x00", b"\t", b"\r", b"\x7f", b"\xc3\xa9", b'" :', b'":',
])


def shown(value: object) -> tuple[Any, ...]:
    """A value, its types and order included; or what is wrong."""
    return (value.code, str(value)) if isinstance(value, InvalidContext) else (repr(value),)


def strictly(line: bytes) -> tuple[Any, ...]:
    """What the strict parser makes of a line."""
    try:
        return shown(parse(line))
    except Refused as error:
        return (error.stable_code, (error.description or "").replace("the body", "the line"))


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """A visitor's line with something cut out and something put in, here and there."""
    line = (VISITOR % draw(st.sampled_from(["true", "1.5e3", '"Zoë"', '"a\\"b"']))).encode()
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(line)))
        line = line[:at] + draw(PIECES) + line[at + draw(st.sampled_from([0, 0, 1, 2, 6])) :]
    return line


@settings(max_examples=600)
@given(line=lines() | st.binary(max_size=12) | st.text(max_size=12).map(str.encode))
def test_a_line_is_read_as_the_strict_parser_reads_it(line: bytes) -> None:
    assert [shown(value) for value in read_visitors([line])] == [strictly(line)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["womens", "a:b", 'x":', " :"]) | st.text(max_size=3)
VISITORS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.text(max_size=8) | JSON,
        "attributes": st.dictionaries(NAMES, JSON, max_size=3) | JSON,
        "consent": st.text(max_size=3) | JSON,
        "token": st.none() | st.text(max_size=3) | JSON,
        "other": JSON,
    },
)


@settings(max_examples=150)
@given(
    values=st.lists(VISITORS, max_size=4),
    ascii=st.booleans(),
    separators=st.sampled_from([(",", ":"), (", ", ": "), (" ,", " :"), (",\t", "\t:")]),
)
def test_lines_are_read_together_as_each_is_alone(values: list[Any], ascii: bool, separators: tuple[str, str]) -> None:
    written = [json.dumps(value, ensure_ascii=ascii, separators=separators).encode() for value in values]
    assert [shown(value) for value in read_visitors(written)] == [strictly(line) for line in written]


@pytest.mark.parametrize(
    "value",
    [
        "1" * 4300, "1" * 4301, "-" + "1" * 4300, "1" + "0" * 400, "1" + "0" * 400 + ".5", "1.7976931348623157e308",
        "1.7976931348623159e308", "5e-324", "2e-324", "-0", "-0.0", "1.0", "1E+2", "18446744073709551616",
        "9007199254740993", "0.1e-400", "01", "1.", "+1", "Infinity", "[[1]]", '{"a": 1}', '{"a": 1, "a": 1}',
        "[" * DEEPEST + "]" * DEEPEST, '"\\ud800\\u0041"', '"\\\\ud800"', '"\\\\\\ud800"', '"\\u0000"', '"a:b"', '"::"',
    ],
    ids=lambda value: value[:24],
)
def test_numbers_and_texts_at_the_edges_are_read_as_strictly(value: str) -> None:
    line = (VISITOR % value).encode()
    beside = (VISITOR % "true").encode()
    assert [shown(value) for value in read_visitors([beside, line])] == [strictly(beside), strictly(line)]
