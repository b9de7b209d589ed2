"""Partitions: spans that hold each visitor once, in order, and evenly."""

from collections import Counter
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from experiments.partitions import EVERYBODY
from experiments.partitions import Span
from experiments.partitions import partition_of
from experiments.partitions import span_of

STAND_INS = st.binary(min_size=16, max_size=16)


def holds(span: Span, visitor: bytes) -> bool:
    """Whether a visitor is of a span."""
    return span.low <= visitor < span.high


@given(STAND_INS, st.integers(1, 4096))
def test_a_visitor_is_of_the_span_of_the_partition_and_of_no_other(visitor: bytes, partitions: int) -> None:
    number = partition_of(visitor, partitions)
    assert 0 <= number < partitions
    assert holds(span_of(number, partitions), visitor) and holds(EVERYBODY, visitor)
    for other in {number - 1, number + 1} & set(range(partitions)):
        assert not holds(span_of(other, partitions), visitor)


@given(st.integers(1, 4096), st.data())
def test_a_partition_begins_where_the_one_before_ends(partitions: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, partitions - 1))
    span = span_of(number, partitions)
    first = span.low.ljust(16, b"\0")
    assert partition_of(first, partitions) == number
    if number == 0:
        assert first == bytes(16)
    else:
        assert span.low == span_of(number - 1, partitions).high
        before = (int.from_bytes(first, "big") - 1).to_bytes(16, "big")
        assert partition_of(before, partitions) == number - 1
    if number == partitions - 1:
        assert holds(span, b"\xff" * 16)


@given(STAND_INS, STAND_INS)
def test_those_after_a_visitor_begin_with_the_next(visitor: bytes, other: bytes) -> None:
    assert holds(EVERYBODY.after(visitor), other) == (other > visitor)


def test_visitors_are_spread_evenly() -> None:
    numbers = Counter(partition_of(sha256(bytes([n % 256, n // 256])).digest()[:16], 8) for n in range(20_000))
    assert len(numbers) == 8 and min(numbers.values()) > 2_300 and max(numbers.values()) < 2_700
