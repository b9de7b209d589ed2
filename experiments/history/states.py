"""States: what databases have while nobody writes in them, each visitor in one of them."""

import hashlib
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from experiments.log.own_sums import own_cells
from experiments.log.own_sums import own_removed
from experiments.storage.cells import CellSums
from experiments.storage.history_manifests import InvalidHistory
from experiments.storage.history_manifests import PartManifest
from experiments.storage.session import Session
from experiments.storage.shards import THIS_SHARD
from experiments.storage.store import Store


class State(NamedTuple):
    """A database while nobody writes: its newest event, what it has counted of an experiment, and who is there.

    Attributes:
        moved: what stands for the last time that a partition came or went.
        shard: its name as a shard; None where it is none.
        here: the partitions that it has, and whether they are open.
    """

    newest: int
    cells: CellSums
    removed: CellSums
    moved: str
    shard: str | None = None
    here: Mapping[int, bool] = {}

    @property
    def removals(self) -> str:
        """A digest of what had been removed."""
        return _digest(self.removed)


class Moment(NamedTuple):
    """The states of all databases, by name; all that was accepted before a time is in them."""

    at_ms: int
    states: Mapping[str, State]


def look(databases: Mapping[str, Store], key: str, *, now_ms: int) -> Moment:
    """See what each database has, the one with the experiments first.

    :raises InvalidHistory: if a partition is on its way from one of them to another.
    """
    (name, control), *others = databases.items()
    placed, at_ms, state = control.transact(partial(_first, key=key, now_ms=now_ms))
    states = {name: state}
    for name, other in others:
        states[name] = other.transact(partial(_state, key=key, has_shards=True))
    _check_placed(key, placed, states.values())
    return Moment(at_ms, states)


def _first(session: Session, *, key: str, now_ms: int) -> tuple[Sequence[str], int, State]:
    """The shard of each partition, and what has been applied everywhere before the others are looked at."""
    if session.watermarks.oldest_ms() is None:
        return [], now_ms, _state(session, key=key, has_shards=False)
    at_ms = session.spools.watermark(now_ms=now_ms)
    return session.shards.partitions(), at_ms, _state(session, key=key, has_shards=True)


def _state(session: Session, *, key: str, has_shards: bool) -> State:
    # While nobody writes, no event with a lower number is still to come.
    state = State(
        session.events.newest(), own_cells(session, key), own_removed(session, key), session.meta.moved()
    )
    if not has_shards:
        return state
    return state._replace(shard=session.meta.get(THIS_SHARD), here=session.fences.here())


def _check_placed(key: str, placed: Sequence[str], states: Iterable[State]) -> None:
    """See that each partition is in one database, the one where it is said to be.

    :raises InvalidHistory: if one is not.
    """
    seen = {(partition, state.shard, is_open) for state in states for partition, is_open in state.here.items()}
    said = {(partition, shard, True) for partition, shard in enumerate(placed)}
    if moving := sorted({partition for partition, *_ in seen ^ said}):
        raise InvalidHistory(
            f"{key}: partition {moving[0]} is being moved to another shard: write the history once it is there; a move"
            " that was broken off is finished by moving again"
        )


def is_as_it_was(session: Session, *, key: str, manifest: PartManifest) -> bool:
    """Whether a database still has all that a part of a history has looked at."""
    # No event comes later with a number of these, but in a partition that is moved.
    is_there = session.events.count(until=manifest.watermark) == manifest.events
    is_left = _digest(own_removed(session, key)) == manifest.removals
    return is_there and is_left and session.meta.moved() == manifest.moved


def _digest(removed: CellSums) -> str:
    return hashlib.sha256(msgspec.json.encode(sorted(removed.items()))).hexdigest()
