"""Pictures: all that people and jobs configure, as one state of the database has it; small enough to be handed on."""

import zlib

import msgspec

from experiments.log.undivided import is_divided
from experiments.storage.configuration import ExperimentRow
from experiments.storage.configuration import KeyRow
from experiments.storage.ledger import LedgerRow
from experiments.storage.session import Session


class Picture(msgspec.Struct, array_like=True, frozen=True):
    """Experiments with their newest epochs and with what backups that were brought back have cut off, and keys.

    Version and time of change tell it from all others, also from those of a database that was set back. No visitor is
    in it.
    """

    version: int
    changed_ms: int
    experiments: list[ExperimentRow]
    newest: dict[str, LedgerRow]
    restored_at: dict[str, tuple[int, ...]]
    keys: list[KeyRow]
    removals: int
    erased_until_ms: int
    is_divided: bool

    def is_of(self, version: int, changed_ms: int) -> bool:
        """Whether this is the state of a database that has these."""
        return (self.version, self.changed_ms) == (version, changed_ms)


def take_picture(session: Session) -> Picture:
    """The present state."""
    experiments = session.experiments.all()
    newest = {row.key: session.ledger.newest_epoch(row.key) for row in experiments}
    return Picture(
        session.meta.config_version(),
        session.meta.config_changed_ms(),
        experiments,
        {key: row for key, row in newest.items() if row},
        session.restores.all(),
        session.keys.all(),
        session.meta.removals(),
        session.tombstones.last_until_ms(),
        is_divided(session),
    )


def packed(picture: Picture) -> bytes:
    """A picture as bytes."""
    return zlib.compress(msgspec.msgpack.encode(picture))


def unpacked(data: bytes) -> Picture:
    """What `packed` was given.

    :raises ValueError: if it is none, or one of another version of the program.
    """
    try:
        return msgspec.msgpack.decode(zlib.decompress(data), type=Picture)
    except (zlib.error, msgspec.MsgspecError) as error:
        raise ValueError(f"no picture: {error}") from error
