"""How the log does, as its nodes tell: whether enough of them have all of it that it takes what is published."""

from typing import NamedTuple

from nats.js.api import StreamInfo


class LogState(NamedTuple):
    """How many of the nodes that have the stream follow its leader, the leader among them; none where nobody leads."""

    following: int
    nodes: int

    @property
    def takes(self) -> bool:
        """Whether they are more than half, and so decide."""
        return 2 * self.following > self.nodes

    def lost(self) -> "LogState":
        """The same nodes, of which nobody answers."""
        return self._replace(following=0)


def state_of(info: StreamInfo) -> LogState:
    """What a stream's leader says of those who follow it; a server that stands alone says nothing."""
    if info.cluster is None:
        return LogState(1, 1)
    replicas = info.cluster.replicas or []
    following = sum(bool(replica.current) and not replica.offline for replica in replicas)
    return LogState(following + 1 if info.cluster.leader else 0, len(replicas) + 1)
