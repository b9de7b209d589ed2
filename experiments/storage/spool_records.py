"""Records of a spool's files: each entry behind its head, with a checksum, so that what was cut off is known."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

#: Partition, number, time of receipt, length and checksum of what follows.
_HEAD = struct.Struct(">IQQII")

HEAD_BYTES = _HEAD.size


class Record(NamedTuple):
    """Where in a file an entry is."""

    partition: int
    number: int
    at_ms: int
    offset: int
    length: int


def head(partition: int, number: int, at_ms: int, body: bytes) -> bytes:
    """What is written before an entry's body."""
    return _HEAD.pack(partition, number, at_ms, len(body), crc32(body))


def records(path: Path) -> Iterator[Record]:
    """Each whole record; what was cut off by a crash was not answered."""
    with path.open("rb") as stream:
        while len(read := stream.read(HEAD_BYTES)) == HEAD_BYTES:
            partition, number, at_ms, length, checksum = _HEAD.unpack(read)
            offset = stream.tell()
            body = stream.read(length)
            if len(body) < length or crc32(body) != checksum:
                return
            yield Record(partition, number, at_ms, offset, length)
