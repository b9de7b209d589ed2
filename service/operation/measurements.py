"""What is measured of an installation, by the names that Prometheus knows it under."""

import platform
from collections.abc import Iterable
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import NamedTuple
from typing import get_args

from prometheus_client.core import CounterMetricFamily
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.core import InfoMetricFamily
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from experiments.backups import backed_up_ms
from experiments.overview import ConcernKind
from experiments.overview import Summary
from experiments.storage.pace import Histogram
from experiments.storage.session import Session
from experiments.version import VERSION
from service.cluster.measurements import cluster_measurements
from service.installation import Installation
from service.operation.disk import file_bytes
from service.operation.disk import space
from service.operation.tallies import Tally


class Measurements(Collector):
    """Every figure, taken when it is asked for."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def collect(self) -> Iterator[Metric]:
        """The figures by name."""
        yield InfoMetricFamily("bespoke_build", "What runs.", value={"version": VERSION, "python": _PYTHON})
        yield from _counts(self._installation)
        yield from _pace(self._installation)
        yield from _ages(self._installation)
        yield from _sizes(self._installation)
        yield from cluster_measurements(self._installation)
        if self._installation.store.is_reached():
            yield from _experiments(self._installation)


_PYTHON = platform.python_version()


def _counts(installation: Installation) -> Iterator[Metric]:
    tallies = installation.tallies
    yield _counter("evaluations", "Evaluations.", tallies.evaluations, labels=("experiment", "arm", "cause"))
    yield _counter("events", "Events by what became of them.", tallies.events, labels=("status", "code"))
    yield _counter("refusals", "Requests answered 400 and above.", tallies.refusals, labels=("route", "status"))
    yield _counter("job_failures", "Runs of jobs that failed.", tallies.failures, labels=("job",))


def _counter(name: str, text: str, tally: Tally, *, labels: tuple[str, ...]) -> Metric:
    family = CounterMetricFamily(f"bespoke_{name}", text, labels=labels)
    for values, n in sorted(tally.counts().items()):
        family.add_metric(values, n)
    return family


def _pace(installation: Installation) -> Iterator[Metric]:
    pace = installation.store.pace()
    yield _histogram("commit_seconds", "How long commits take.", pace.commit_seconds)
    yield _histogram("commit_works", "How many works are committed together.", pace.works)
    yield _histogram("write_wait_seconds", "From asking for a write to its being on disk.", pace.wait_seconds)
    yield _gauge("write_queue_length", "Works that wait for the writer.", installation.store.queued())


def _histogram(name: str, text: str, values: Histogram) -> Metric:
    buckets = [("+Inf" if bound == float("inf") else str(bound), float(n)) for bound, n in values.up_to()]
    return HistogramMetricFamily(f"bespoke_{name}", text, buckets=buckets, sum_value=values.total)


def _gauge(name: str, text: str, value: float | None) -> Metric:
    """One figure; none at all where nothing is known."""
    family = GaugeMetricFamily(f"bespoke_{name}", text)
    if value is not None:
        family.add_metric((), value)
    return family


def _ages(installation: Installation) -> Iterator[Metric]:
    yield _gauge("scheduler_age_seconds", "Since the scheduler looked.", age(installation.ticked))
    yield _gauge("snapshot_age_seconds", "Since it was looked for changes.", age(installation.watched))
    yield _gauge("snapshot_version", "The version of the configuration.", installation.snapshots.latest.version)
    yield _gauge("database_reached", "Whether the database answers.", installation.store.is_reached())


def age(since: float | None) -> float | None:
    """The seconds since a reading of the clock that only goes forward."""
    return None if since is None else monotonic() - since


def _sizes(installation: Installation) -> Iterator[Metric]:
    path, disk = installation.config.database_path, space(installation.config)
    if path is None or disk is None:
        return
    yield _gauge("database_bytes", "The database's file.", file_bytes(path))
    yield _gauge("log_bytes", "Its write-ahead log.", file_bytes(Path(f"{path}-wal")))
    yield _gauge("disk_free_bytes", "Free space under the database.", disk.free_bytes)
    yield _gauge("disk_limit_bytes", "The space below which people are told.", disk.limit_bytes)


class _Known(NamedTuple):
    """What the database says of a live experiment."""

    experiment: str
    waiting: int
    orphans: int
    decided_ms: int


def _experiments(installation: Installation) -> Iterator[Metric]:
    """What the database alone knows."""
    backed_up = installation.store.read(backed_up_ms)
    yield _gauge("backup_timestamp_seconds", "When the newest backup began.", backed_up and backed_up / 1000)
    known = installation.store.read(lambda session: _known(session, installation))
    yield _by_experiment("waiting_outcomes", "Wait for exposures.", ((one.experiment, one.waiting) for one in known))
    yield _by_experiment("orphans", "Outcomes nobody came for.", ((one.experiment, one.orphans) for one in known))
    decided = ((one.experiment, one.decided_ms / 1000) for one in known)
    yield _by_experiment("decision_timestamp_seconds", "When the ledger's newest row was written.", decided)
    yield _alarms(installation, [one.experiment for one in known])
    yield _errands(installation)


def _errands(installation: Installation) -> Metric:
    family = GaugeMetricFamily("bespoke_errand_failures", "Failures since it last went well.", labels=("errand",))
    for row in installation.store.read(lambda session: session.errands.all()):
        family.add_metric((row.name,), row.failures)
    return family


def _known(session: Session, installation: Installation) -> list[_Known]:
    now_ms, found = installation.clock.now_ms(), []
    for key in installation.snapshots.latest.all_live():
        last = session.ledger.last(key)
        found.append(_Known(key, *session.waiting.counts(key, now_ms=now_ms), last.at_ms if last else 0))
    return found


def _by_experiment(name: str, text: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(f"bespoke_{name}", text, labels=("experiment",))
    for experiment, value in values:
        family.add_metric((experiment,), value)
    return family


def _overview(installation: Installation) -> list[Summary]:
    store, snapshot, now_ms = installation.store, installation.snapshots.latest, installation.clock.now_ms()
    return installation.overviews.take(store, snapshot=snapshot, now_ms=now_ms)


def _alarms(installation: Installation, experiments: list[str]) -> Metric:
    """Each concern of each experiment, 0 where all is well, so that an alert ends too."""
    found = installation.alarms.latest(lambda: _overview(installation))
    family = GaugeMetricFamily("bespoke_alarm", "Whether it needs attention.", labels=("experiment", "kind"))
    for experiment in experiments:
        for kind in get_args(ConcernKind):
            family.add_metric((experiment, kind), (experiment, kind) in found)
    return family
