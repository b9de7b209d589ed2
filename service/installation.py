"""An installation: what one process holds of it while it runs."""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from threading import Event
from threading import Thread
from time import monotonic

from experiments.audit import Deed
from experiments.errors import StorageError
from experiments.evaluation import Asking
from experiments.events import Terms
from experiments.failpoints import arm
from experiments.log.announcing import Hearing
from experiments.log.intake import Intake
from experiments.overview import Overviews
from experiments.privacy.consent_counts import keep_counts
from experiments.privacy.erasure import Remembering
from experiments.privacy.retention import Keeping
from experiments.recent import RecentTraffic
from experiments.rotation import follow
from experiments.signing import Keyring
from experiments.signing import Succession
from experiments.snapshot import Snapshot
from experiments.snapshot import Snapshots
from experiments.storage.store import OwnStore
from experiments.storage.store import migrate_own
from service.cluster.joining import collecting
from service.cluster.joining import open_log
from service.cluster.joining import opened_store
from service.config import Config
from service.operation.alarms import Alarms
from service.operation.clock import Clock
from service.operation.clock import SystemClock
from service.operation.logs import said
from service.operation.secret import secrets_of
from service.operation.tallies import Labels
from service.operation.tallies import Tallies
from service.people.attempts import Attempts
from service.requests.rates import Buckets

_WATCH_SECONDS = 0.25

log = logging.getLogger(__name__)


@dataclass
class Installation:
    """Settings, clock, keys, database, and the newest snapshot of what people and jobs configure.

    `recent` are the attributes that visitors brought lately; `buckets` are None where the settings limit nobody's rate;
    `attempts` are those to log in; `overviews` know what the list of campaigns was made of last; `ticked` is when the
    scheduler last looked for work, `watched` when the watcher last looked for what others commit, None where this
    process has none: seconds of a clock that only goes forward. `tallies` are what was done since it began. Where
    events go through a log, `log` takes them and changes are heard of by `hearing`, and where visitors are in shards,
    `collect` brings what these count.
    """

    config: Config
    clock: Clock
    keyring: Keyring
    store: OwnStore
    snapshots: Snapshots
    buckets: Buckets | None
    recent: RecentTraffic
    ticked: float | None = None
    watched: float | None = None
    tallies: Tallies = field(default_factory=Tallies)
    alarms: Alarms = field(default_factory=Alarms)
    attempts: Attempts = field(default_factory=Attempts)
    overviews: Overviews = field(default_factory=Overviews)
    log: Intake | None = None
    collect: Callable[[int], None] | None = None
    hearing: Hearing | None = None
    _kept_consents: dict[Labels, int] = field(default_factory=dict, repr=False)
    _endings: list[Callable[[], object]] = field(default_factory=list, repr=False)

    def asking(self, *, objects: bool = False) -> Asking:
        """How an evaluation is asked for now; `objects` is the visitor's signal against being counted at all."""
        config = self.config
        return Asking(self.clock.now_ms(), config.consent_default, config.token_lifetime_seconds, objects, self.recent)

    def terms(self) -> Terms:
        """What is asked of events."""
        return Terms(self.config.consent_default, self.config.deduplication_horizon_seconds)

    def remembering(self) -> Remembering:
        """What an erasure must outlast."""
        return Remembering(self.terms(), self.config.token_lifetime_seconds, self.config.retention_backups_seconds)

    def keeping(self) -> Keeping:
        """How long things are kept."""
        config = self.config
        return Keeping(
            self.terms(),
            config.token_lifetime_seconds,
            config.retention_events_seconds,
            config.retention_exposures_seconds,
        )

    def keep_consents(self) -> None:
        """Add to the database how many evaluations came with which consent since this was done last."""
        counts, kept = self.tallies.consents.counts(), self._kept_consents
        new = {(key, level): n - kept.get((key, level), 0) for (key, level), n in counts.items()}
        if added := {labels: n for labels, n in new.items() if n}:
            keep_counts(self.store, added, now_ms=self.clock.now_ms())
            self._kept_consents = counts

    def watch(self) -> None:
        """Notice from now on what other processes commit."""
        watcher = Watcher(self)
        watcher.start()
        self.before_closing(watcher.stop)

    def before_closing(self, end: Callable[[], object]) -> None:
        """End something that works with the database before that is let go; what began last ends first."""
        self._endings.append(end)

    def close(self) -> None:
        """Finish what waits and let the database go."""
        while self._endings:
            self._endings.pop()()
        self._keep_last_consents()
        self.store.close()

    def _keep_last_consents(self) -> None:
        try:
            self.keep_consents()
        except StorageError as error:
            fields = said("consents_lost")
            log.warning("the last evaluations are not counted by consent: %s", error, extra=fields)


def open_installation(
    config: Config, *, clock: Clock | None = None, serving: bool = False, recording: bool = False
) -> Installation:
    """Open an installation; one that serves brings its database up to date and watches it.

    One that records, as whoever serves does, has its spool open where events go through a log.

    :raises BespokeError: if its secret is lost or its database cannot be used.
    """
    arm(config.failpoint)
    own = secrets_of(config)
    if serving:
        migrate_own(config.database, secrets=own, random=secrets.token_bytes)
    store, keys = opened_store(config, secrets=own, serving=serving)
    buckets = Buckets(config.client_rate) if config.client_rate else None
    recent = RecentTraffic(config.recent_traffic)
    installation = Installation(config, clock or SystemClock(), keys, store, Snapshots(store), buckets, recent)
    try:
        if serving:
            _follow(installation, own)
        installation.snapshots.refresh()
    except BaseException:
        store.close()
        raise
    if serving:
        installation.watch()
    installation.collect = collecting(store)
    if serving or recording:
        _open_log(installation)
    return installation


def _follow(installation: Installation, own: Succession) -> None:
    """Let the secret open the database in place of the one before."""
    store, deed = installation.store, Deed("service", installation.clock.now_ms())
    if follow(store, own, random=secrets.token_bytes, deed=deed):
        # It keeps nothing in the log of the file either: what the one before opens shall be gone.
        store.forget_exposures()


def _open_log(installation: Installation) -> None:
    try:
        open_log(installation)
    except BaseException:
        installation.close()
        raise


class Watcher(Thread):
    """Refreshes the snapshot soon after anybody has committed."""

    def __init__(self, installation: Installation) -> None:
        super().__init__(name="watcher", daemon=True)
        self._installation = installation
        self._store, self._snapshots = installation.store, installation.snapshots
        self._removals = self._snapshots.latest.removals
        self._stopped = Event()
        installation.watched = monotonic()

    def run(self) -> None:
        """Look again and again, whatever goes wrong, until stopped."""
        seen: int | None = None
        while not self._stopped.is_set():
            self._await_changes()
            seen = self._look(seen)

    def _await_changes(self) -> None:
        """Wait until something may have changed; where nothing is heard of others, not for long."""
        hearing = self._installation.hearing
        if hearing is None or not hearing.wait(self._stopped):
            self._store.await_changes(self._stopped, seconds=_WATCH_SECONDS)

    def _look(self, seen: int | None) -> int | None:
        try:
            changes = self._store.changes()
            if changes != seen:
                self._notice(self._snapshots.refresh())
            self._installation.watched = monotonic()
            return changes
        except StorageError as error:
            log.warning("changes of other processes are not seen for now: %s", error, extra=said("unseen"))
        except Exception:
            # One that died here would leave this process deciding by old allocations for ever.
            log.exception("changes of other processes are not seen for now", extra=said("unseen"))
        return None

    def _notice(self, snapshot: Snapshot) -> None:
        """Forget what is remembered of visitors once some have been removed, here or elsewhere."""
        if snapshot.removals != self._removals:
            self._store.forget_exposures()
        self._removals = snapshot.removals

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        self.join()
