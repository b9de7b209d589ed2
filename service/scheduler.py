"""The scheduler: looks again and again for what is due. The database says what that is, and who has done it.

Nothing is kept here but the rhythm: any number of schedulers may run, beside servers or alone, and one that was away
finds what it missed.
"""

import logging
from collections.abc import Callable
from datetime import timezone
from threading import Event
from time import monotonic

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from experiments.digests import claim_digest
from experiments.digests import digest_slot
from experiments.errors import BespokeError
from experiments.privacy.retention import retain
from experiments.reallocation import reallocate_due
from experiments.review.reminders import remind
from service.installation import Installation
from service.mail.relay import send
from service.mail.reminder import reminder
from service.operation.clock import AcceleratedClock
from service.operation.clock import Clock
from service.operation.disk import space
from service.operation.disk import written
from service.operation.logs import said
from service.operation.signals import when_told_to_end
from service.outlets.errands import errands

_EVERY_SECONDS = 1.0
_SHORTEST_SECONDS = 0.05
_CONSENTS_SECONDS = 600.0

log = logging.getLogger(__name__)


class Scheduler:
    """The jobs of an installation, in a thread of their own."""

    def __init__(self, installation: Installation) -> None:
        # A look that comes late or is left out does no harm, and is no news: the next one finds the same.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._installation = installation
        self._is_disk_low = False
        self._consents_due = monotonic() + _CONSENTS_SECONDS
        looks = list(errands(installation))
        # Each source and sink may hold a thread; that of the jobs waits for none of them.
        threads = ThreadPoolExecutor(1 + len(looks))
        self._background = BackgroundScheduler(executors={"default": threads}, timezone=timezone.utc)
        self._background.add_job(
            self.tick,
            "interval",
            seconds=_rhythm(installation.clock),
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )
        for look in looks:
            self._background.add_job(
                look, "interval", seconds=_rhythm(installation.clock), coalesce=True, max_instances=1,
                misfire_grace_time=None,
            )

    def start(self) -> None:
        """Look for what is due, now and from now on."""
        self._installation.ticked = monotonic()
        self._background.start()

    def stop(self) -> None:
        """Look no more; what is being done is finished first."""
        self._background.shutdown()

    def tick(self) -> None:
        """Do what is due now, whatever goes wrong with it."""
        now_ms = self._installation.clock.now_ms()
        self._installation.ticked = monotonic()
        jobs = {
            "collect": self._collect,
            "reallocate": self._reallocate,
            "digest": self._send_digest,
            "reminders": self._remind,
            "disk": self._watch_disk,
            "retention": self._retain,
            "consents": self._keep_consents,
        }
        for name, job in jobs.items():
            # One job's trouble must not keep the others from their slots.
            self._do(name, job, now_ms=now_ms)

    def _do(self, name: str, job: Callable[[int], None], *, now_ms: int) -> None:
        try:
            job(now_ms)
        except Exception as error:
            # A job that ended the scheduler would leave every experiment at its last allocation for ever.
            self._installation.tallies.failures.add((name,))
            if isinstance(error, BespokeError):
                log.warning("what is due must wait: %s", error, extra=said("job_failed", job=name))
            else:
                log.exception("what is due must wait", extra=said("job_failed", job=name))

    def _collect(self, now_ms: int) -> None:
        """Bring what shards have counted to where reports and reallocations read it."""
        if self._installation.collect:
            self._installation.collect(now_ms)

    def _reallocate(self, now_ms: int) -> None:
        for row in reallocate_due(self._installation.store, now_ms=now_ms):
            # A hash that has left the machine shows later whether the ledger was written anew.
            fields = said("slot_done", experiment=row.experiment, row=row.number, hash=row.hash)
            log.info("%s: slot done, weights %s, epoch %d", row.experiment, row.kind, row.epoch, extra=fields)

    def _send_digest(self, now_ms: int) -> None:
        """Send the digest whose slot has come; one that the relay does not take is lost, and logged."""
        installation, config = self._installation, self._installation.config
        if config.digest == "off" or config.relay is None:
            return
        slot = digest_slot("daily" if config.digest == "daily" else "weekly", now_ms=now_ms)
        if claim_digest(installation.store, slot, now_ms=now_ms):
            # Charts are slow to load, and few schedulers send any.
            from service.mail.digest import digest
            from service.mail.digest import live_campaigns

            send(digest(installation, live_campaigns(installation), recipients=config.digest_to), config.relay)
            log.info("the %s digest was sent", config.digest, extra=said("digest_sent"))

    def _remind(self, now_ms: int) -> None:
        """Tell of segments to review, in the log and to those who get the digest; a relay that refuses loses it."""
        installation, config = self._installation, self._installation.config
        found = remind(installation.store, now_ms=now_ms)
        for one in found:
            fields = said("review_due", experiment=one.experiment, segment=one.segment, review_by=one.review_by)
            log.info("%s: segment %s is to be reviewed by %s", one.experiment, one.segment, one.review_by, extra=fields)
        if found and config.relay and config.digest_to:
            send(reminder(installation, found), config.relay)

    def _retain(self, now_ms: int) -> None:
        """Remove some of what is kept no longer."""
        installation = self._installation
        removed = retain(installation.store, installation.snapshots, installation.keeping(), now_ms=now_ms)
        if removed:
            log.info("%d rows are kept no longer", removed, extra=said("removed", rows=removed))

    def _keep_consents(self, _: int) -> None:
        """Keep now and then what is counted of evaluations: one is not worth a transaction."""
        if monotonic() >= self._consents_due:
            self._consents_due = monotonic() + _CONSENTS_SECONDS
            self._installation.keep_consents()

    def _watch_disk(self, _: int) -> None:
        """Say once when space becomes little, and once when there is enough again."""
        now = space(self._installation.config)
        if now and now.is_low != self._is_disk_low:
            self._is_disk_low = now.is_low
            words = "little space is left" if now.is_low else "there is space again"
            level = logging.WARNING if now.is_low else logging.INFO
            log.log(level, "%s: %s", words, written(now.free_bytes), extra=said("disk", **now._asdict()))


def _rhythm(clock: Clock) -> float:
    """The seconds between two looks: real ones, so an accelerated clock needs more of them."""
    rate = clock.rate if isinstance(clock, AcceleratedClock) else 1.0
    return max(_EVERY_SECONDS / max(rate, 1.0), _SHORTEST_SECONDS)


def start_scheduler(installation: Installation) -> Scheduler:
    """Start the jobs of an installation beside whatever else this process does."""
    scheduler = Scheduler(installation)
    scheduler.start()
    return scheduler


def run_scheduler(installation: Installation) -> None:
    """Run the jobs of an installation and nothing else, until the process is told to end."""
    ended = Event()
    when_told_to_end(ended.set)
    scheduler = start_scheduler(installation)
    ended.wait()
    scheduler.stop()
