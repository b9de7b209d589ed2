"""Partitions: parts of all visitors that are written apart, each visitor in one of them for good.

A partition is a span of stand-ins, which are keyed hashes and so are spread evenly: its visitors stand together
wherever rows are in the order of visitors, and are read and removed together.
"""

from typing import NamedTuple

#: As many bytes of a stand-in tell its partition.
_BYTES = 8
_BITS = 8 * _BYTES


class Span(NamedTuple):
    """The visitors from one stand-in on, up to another that is none of them."""

    low: bytes
    high: bytes

    def after(self, visitor: bytes) -> "Span":
        """Those of them who come after one."""
        return self._replace(low=visitor + b"\0")


#: No stand-in is so long.
_END = b"\xff" * 17
EVERYBODY = Span(b"", _END)


def partition_of(visitor: bytes, partitions: int) -> int:
    """The partition of a visitor, by the stand-in."""
    return int.from_bytes(visitor[:_BYTES], "big") * partitions >> _BITS


def span_of(partition: int, partitions: int) -> Span:
    """The visitors of a partition."""
    return Span(_begin(partition, partitions), _begin(partition + 1, partitions))


def _begin(partition: int, partitions: int) -> bytes:
    """Where a partition begins: the least number of which the share is that of the partitions before it."""
    if partition == partitions:
        return _END
    return (-(-(partition << _BITS) // partitions)).to_bytes(_BYTES, "big")
