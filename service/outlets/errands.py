"""The errands of an installation: its sources asked and its sinks told, each in a turn of its own."""

import logging
import secrets
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from functools import partial

from experiments.news import hand_out
from experiments.outcome_sources import Event
from experiments.outcome_sources import fetch
from experiments.receipts import Receipt
from experiments.recording import Sender
from experiments.recording import record
from experiments.storage.errands import ErrandRow
from service.installation import Installation
from service.operation.logs import said
from service.outlets.kinds import Outlet

log = logging.getLogger(__name__)


def errands(installation: Installation) -> Iterator[Callable[[], None]]:
    """A look after each source and each sink; any number of processes may look at once."""
    config = installation.config
    # Where events go through a log, only a process that has it open may add to them.
    if installation.log or not config.log_addresses:
        yield from (partial(_look, installation, source, _fetch) for source in config.sources)
    yield from (partial(_look, installation, sink, _hand_out) for sink in config.sinks)


def _look(
    installation: Installation, outlet: Outlet, errand: Callable[[Installation, Outlet], ErrandRow | None]
) -> None:
    try:
        done = errand(installation, outlet)
    except Exception:
        # The database cannot be used now; the next look finds the same.
        installation.tallies.failures.add(("errands",))
        log.exception("what is due must wait", extra=said("job_failed", job=outlet.name))
        return
    if done and done.fault:
        fields = said("errand_failed", errand=outlet.name, failures=done.failures)
        log.warning("%s: %s", outlet.name, done.fault, extra=fields)


def _hand_out(installation: Installation, sink: Outlet) -> ErrandRow | None:
    return hand_out(installation.store, sink.name, sink.opened, now_ms=installation.clock.now_ms())


def _fetch(installation: Installation, source: Outlet) -> ErrandRow | None:
    return fetch(
        installation.store, source.name, source.opened,
        record=partial(_record, installation), now_ms=installation.clock.now_ms(),
    )


def _record(installation: Installation, events: Sequence[Event]) -> list[Receipt]:
    """Record events as believed as if a server key had sent them."""
    return record(
        installation.store,
        installation.snapshots,
        items=events,
        sent_at=None,
        sender=Sender(trusted=True, received_ms=installation.clock.now_ms()),
        terms=installation.terms(),
        keyring=installation.keyring,
        fresh_id=partial(secrets.token_bytes, 16),
        log=installation.log,
    )
