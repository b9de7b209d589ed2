"""Chains: rows of canonical JSON, each with the hash of the one before, so that none changes unnoticed."""

import hashlib
from collections.abc import Iterable
from collections.abc import Iterator

import msgspec

from experiments.storage.audit import AuditRow
from experiments.storage.heads import Head
from experiments.storage.ledger import LedgerRow


#: A row of a chain: rows are numbered from 1, and `hash` is the digest of `body`.
Link = AuditRow | LedgerRow


def canonical(value: object) -> str:
    """The one JSON text of a value: sorted names, no spaces, shortest floats."""
    return msgspec.json.encode(value, order="sorted").decode()


def digest(body: str) -> str:
    """What the next row remembers of this one; the body holds the hash before it, so the chain is in it."""
    return hashlib.sha256(body.encode()).hexdigest()


def is_whole(row: Link) -> bool:
    """Whether the body is what was hashed."""
    return digest(row.body) == row.hash


def chain_faults(rows: Iterable[Link], *, name: str, head: Head | None) -> Iterator[str]:
    """Every place where a chain, the oldest row first, has been changed, broken or cut off; `head` is its end."""
    last, number = "", 0
    for number, row in enumerate(rows, start=1):
        place = f"{name}, row {row.number}"
        if row.number != number:
            yield f"{place}: row {number} is missing"
        if not is_whole(row):
            yield f"{place}: the body is not what was hashed"
        elif msgspec.json.decode(row.body)["previous_hash"] != last:
            yield f"{place}: it does not follow the row before it"
        last = row.hash
    yield from _end_faults(number, last, name=name, head=head)


def _end_faults(number: int, last: str, *, name: str, head: Head | None) -> Iterator[str]:
    if head is None:
        if number:
            yield f"{name}: nothing says that it ends at row {number}"
    elif number < head.number:
        yield f"{name}: it ends at row {number}, and row {head.number} was written: {head.number - number} are cut off"
    elif (number, last) != (head.number, head.hash):
        yield f"{name}, row {number}: it is not the row {head.number} that was written last"
