"""How a node does whose events go through a log: the log, its spool, and the shards, as it sees them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple
from typing import TYPE_CHECKING
from typing import cast

from service.cluster.joining import has_shards
from service.config import Config
from service.installation import Installation

if TYPE_CHECKING:
    from experiments.log.appending import Appending
    from experiments.storage.sharded_store import ShardedStore

#: The room for a batch and what stands around it.
_LEAST_BYTES = 4 << 20


class LogNodes(NamedTuple):
    """How many of the log's nodes follow its leader, and whether the log takes what is published by them.

    `is_awaited` says whether an event is answered only then.
    """

    following: int
    nodes: int
    takes: bool
    is_awaited: bool


class Kept(NamedTuple):
    """What waits in the spool: since when, how many entries by partition, the bytes of its files, and those free.

    One whose disk `has_failed` keeps nothing more.
    """

    since_ms: int | None
    lags: Mapping[int, int]
    bytes: int
    free_bytes: int
    has_failed: bool

    @property
    def is_full(self) -> bool:
        """Whether it may not take another batch."""
        return self.free_bytes < _LEAST_BYTES

    def is_low(self, config: Config) -> bool:
        """Whether somebody should see to its disk."""
        return self.free_bytes < config.disk_limit_bytes


def log_nodes(installation: Installation) -> LogNodes | None:
    """How the log does; None where events go through none."""
    if installation.log is None:
        return None
    appending = cast("Appending", installation.log)
    state = appending.log.state
    return LogNodes(state.following, state.nodes, state.takes, appending.waits)


def kept(installation: Installation) -> Kept | None:
    """What waits in the spool; None where there is none."""
    if installation.log is None:
        return None
    spool = cast("Appending", installation.log).spool
    waits = [spool.waits(writer) for writer in spool.writers]
    since_ms = min((each.since_ms for each in waits if each.since_ms is not None), default=None)
    disk = os.statvfs(spool.folder)
    free_bytes = disk.f_bavail * disk.f_frsize
    return Kept(since_ms, spool.lags(), sum(each.bytes for each in waits), free_bytes, spool.disk.has_failed)


def shards_reached(installation: Installation) -> dict[str, bool] | None:
    """Which shards answer, by name; None where there are none."""
    if not has_shards(installation):
        return None
    placement = cast("ShardedStore", installation.store).placement
    return {shard: not placement.is_away(shard) for shard in placement.names()}
