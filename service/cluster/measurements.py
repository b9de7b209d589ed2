"""What is measured where events go through a log to shards, by the names that Prometheus knows it under."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from typing import cast

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import Metric

from experiments.storage.fences import Fence
from experiments.storage.session import Session
from service.cluster.state import kept
from service.cluster.state import log_nodes
from service.cluster.state import shards_reached
from service.installation import Installation

if TYPE_CHECKING:
    from experiments.storage.sharded_store import ShardedStore

Gauge = tuple[tuple[str, ...], float]


def cluster_measurements(installation: Installation) -> Iterator[Metric]:
    """The figures by name; none where there is one database alone."""
    yield from _log(installation)
    yield from _spool(installation)
    if (shards := shards_reached(installation)) is not None:
        reached: list[Gauge] = [((shard,), is_reached) for shard, is_reached in shards.items()]
        yield _gauges("shard_reached", "Whether a shard answers.", reached, labels=("shard",))
        yield from _partitions(installation, [shard for shard, is_reached in shards.items() if is_reached])


def _log(installation: Installation) -> Iterator[Metric]:
    if found := log_nodes(installation):
        yield _gauges("stream_nodes", "Nodes of the log.", [((), found.nodes)])
        yield _gauges("stream_nodes_following", "Those that follow its leader.", [((), found.following)])
        yield _gauges("stream_takes", "Whether the log takes events.", [((), found.takes)])


def _spool(installation: Installation) -> Iterator[Metric]:
    if found := kept(installation):
        age_ms = 0 if found.since_ms is None else max(installation.clock.now_ms() - found.since_ms, 0)
        lags: list[Gauge] = [((str(partition),), n) for partition, n in found.lags.items()]
        yield _gauges("spool_bytes", "The spool's files.", [((), found.bytes)])
        yield _gauges("spool_free_bytes", "Free space under the spool.", [((), found.free_bytes)])
        yield _gauges("spool_age_seconds", "Since when the oldest entry waits.", [((), age_ms / 1000)])
        yield _gauges("spool_entries", "Entries that are not applied yet.", lags, labels=("partition",))


def _partitions(installation: Installation, shards: list[str]) -> Iterator[Metric]:
    """Who may apply, as the shards say; and how far all of it has been collected."""
    store = cast("ShardedStore", installation.store)
    fences = [fence for shard in shards for fence in store.placement.store(shard).read(_fences)]
    held: list[Gauge] = [((str(fence.partition),), fence.is_held) for fence in fences]
    epochs: list[Gauge] = [((str(fence.partition),), fence.epoch) for fence in fences]
    yield _gauges("partition_held", "Whether a worker holds it.", held, labels=("partition",))
    yield _gauges("partition_epoch", "How often it was taken.", epochs, labels=("partition",))
    if store.is_reached() and (at_ms := store.read(lambda session: session.watermarks.oldest_ms())) is not None:
        age = max(installation.clock.now_ms() - at_ms, 0) / 1000
        yield _gauges("watermark_age_seconds", "Since when something may not be counted.", [((), age)])


def _fences(session: Session) -> list[Fence]:
    return session.fences.all()


def _gauges(name: str, text: str, values: list[Gauge], *, labels: tuple[str, ...] = ()) -> Metric:
    family = GaugeMetricFamily(f"bespoke_{name}", text, labels=labels)
    for given, value in values:
        family.add_metric(given, value)
    return family
