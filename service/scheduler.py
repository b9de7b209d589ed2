"""The scheduler: looks again and again for what is due. The database says what that is, and who has done it.

Nothing is kept here but the rhythm: any number of schedulers may run, beside servers or alone, and one that was away
finds what it missed.
"""

import logging
from datetime import timezone
from threading import Event

from apscheduler.schedulers.background import BackgroundScheduler

from experiments.errors import BespokeError
from experiments.reallocation import reallocate_due
from service.clock import AcceleratedClock
from service.clock import Clock
from service.installation import Installation
from service.signals import when_told_to_end

_EVERY_SECONDS = 1.0
_SHORTEST_SECONDS = 0.05

log = logging.getLogger(__name__)


class Scheduler:
    """The jobs of an installation, in a thread of their own."""

    def __init__(self, installation: Installation) -> None:
        # A look that comes late or is left out does no harm, and is no news: the next one finds the same.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._installation = installation
        self._background = BackgroundScheduler(timezone=timezone.utc)
        self._background.add_job(
            self.tick,
            "interval",
            seconds=_rhythm(installation.clock),
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,
        )

    def start(self) -> None:
        """Look for what is due, now and from now on."""
        self._installation.ticked_ms = self._installation.clock.now_ms()
        self._background.start()

    def stop(self) -> None:
        """Look no more; what is being done is finished first."""
        self._background.shutdown()

    def tick(self) -> None:
        """Do what is due now, whatever goes wrong with it."""
        installation = self._installation
        now_ms = installation.clock.now_ms()
        try:
            for row in reallocate_due(installation.store, now_ms=now_ms):
                log.info("%s: slot done, weights %s, epoch %d", row.experiment, row.kind, row.epoch)
        except BespokeError as error:
            log.warning("what is due must wait: %s", error)
        except Exception:
            # A job that ended the scheduler would leave every experiment at its last allocation for ever.
            log.exception("what is due must wait")
        else:
            installation.ticked_ms = now_ms


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
