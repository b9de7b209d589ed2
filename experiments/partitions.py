"""Partitions: parts of all visitors that are written apart, each visitor in one of them for good."""


def partition_of(visitor: bytes, partitions: int) -> int:
    """The partition of a visitor, by the stand-in, which is a keyed hash and so is spread evenly."""
    return int.from_bytes(visitor[8:], "big") % partitions
