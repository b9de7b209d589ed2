"""A shard whose standby is behind: what only its primary has, nodes keep, and bring again where it was lost."""

import signal
from pathlib import Path

import pytest

from tests.clusters import Cluster
from tests.clusters import running_cluster
from tests.logs import running_log
from tests.postgres import Databases
from tests.service.nodes import InstalledNode
from tests.service.nodes import Node
from tests.service.processes import wait_until
from tests.service.test_cluster_health import Site
from tests.service.test_cluster_health import figures
from tests.service.test_cluster_health import prepared
from tests.service.test_cluster_health import working

_PATIENCE_SECONDS = 60
_WAITING = "FROM pg_stat_activity AS waiting WHERE wait_event = 'SyncRep'"
_WRITING = "EXISTS (SELECT FROM pg_locks WHERE pg_locks.pid = waiting.pid AND mode = 'RowExclusiveLock')"


@pytest.mark.long
@pytest.mark.timeout(600)
def test_what_a_shard_has_told_and_then_lost_with_its_primary_is_counted(postgres: Databases, tmp_path: Path) -> None:
    with running_cluster(standby=True) as shard, running_log(nodes=1) as log:
        installed = InstalledNode(tmp_path, postgres.empty())
        server, admin = prepared(installed, shard.server)
        installed.set(BESPOKE_LOG_URL=log.url)
        node = Node(installed)
        site = Site(log, node, node, server, admin)
        worker = installed.start("worker")
        try:
            assert site.send(node, "ann") == 200
            wait_until(lambda: site.visitors() == 1, what="the first is counted", seconds=_PATIENCE_SECONDS)
            _let_one_be_seen_alone(site, shard)
            worker.kill()
            log.wipe()
            _lose_the_primary(shard)
            assert _exposed(shard) == 1, "what was seen is lost"
            with working(site):
                wait_until(lambda: site.visitors() == 2, what="both are counted", seconds=_PATIENCE_SECONDS)
        finally:
            worker.kill()
            worker.wait()
            node.end()


def _let_one_be_seen_alone(site: Site, shard: Cluster) -> None:
    """Have a visitor applied by a worker that is cut off as it waits for the standby, which then is seen."""
    with shard.primary.locked("exposures", database="bespoke"):
        assert site.send(site.local, "bob") == 200
        wait_until(lambda: _is_held_up(shard), what="the worker is held up", seconds=_PATIENCE_SECONDS)
        assert shard.standby is not None
        shard.standby.signal(signal.SIGSTOP)

    def is_seen() -> bool:
        shard.primary.ask(f"SELECT pg_cancel_backend(pid) {_WAITING}", database="bespoke")
        return _exposed(shard) == 2

    def has_looked() -> bool:
        [(readers,)] = shard.primary.ask(f"SELECT count(*) {_WAITING} AND NOT {_WRITING}", database="bespoke")
        return figures(site.local, site.admin).get("bespoke_spool_entries", 0) == 0 or bool(readers)

    wait_until(is_seen, what="it is seen, though it waits for the standby", seconds=_PATIENCE_SECONDS)

    wait_until(has_looked, what="the node has looked, and waits as well", seconds=_PATIENCE_SECONDS)


def _is_held_up(shard: Cluster) -> bool:
    """Whether somebody waits for a lock."""
    return shard.primary.ask("SELECT count(*) FROM pg_locks WHERE NOT granted", database="bespoke") == [(1,)]


def _exposed(shard: Cluster) -> int:
    [(number,)] = shard.primary.ask("SELECT count(*) FROM exposures", database="bespoke")
    return int(str(number))


def _lose_the_primary(shard: Cluster) -> None:
    """Lose it, and what its standby had not written down."""
    assert shard.standby is not None
    shard.primary.kill()
    shard.standby.kill()
    shard.standby.start()
    shard.standby.promote()
    shard.primary, shard.standby = shard.standby, shard.primary
