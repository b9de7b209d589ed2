"""Who was erased, where events are applied: an event may have been admitted before its visitor was."""

from collections.abc import Collection
from collections.abc import Sequence

from experiments.admission import Admitted
from experiments.admission import Refusal
from experiments.signing import Keyring
from experiments.signing import disguised
from experiments.storage.session import Session


def without_erased(
    session: Session, read: Sequence[Admitted | Refusal], *, keyring: Keyring
) -> list[Admitted | Refusal]:
    """What is left without the events of those who were erased, by the marks that are kept with their rows.

    In the transaction that applies it: whoever is erased after it has rows that the erasure finds.
    """
    if not session.tombstones.last_until_ms():
        return list(read)
    until_ms = _until_ms(session, {each.row.visitor for each in read if isinstance(each, Admitted)}, keyring=keyring)
    return [each for each in read if isinstance(each, Refusal) or _is_open(each, until_ms.get(each.row.visitor, 0))]


def _until_ms(session: Session, visitors: Collection[bytes], *, keyring: Keyring) -> dict[bytes, int]:
    """Until when nothing is stored, of those who were erased."""
    marks = dict(zip(disguised(visitors, key=keyring.tombstones), visitors, strict=True))
    return {marks[mark]: until_ms for mark, until_ms in session.tombstones.of(marks).items()}


def _is_open(admitted: Admitted, until_ms: int) -> bool:
    return admitted.row.received_ms >= until_ms
