"""Access: all that is known of a visitor, and what was made of it, for whoever asks what is known of them."""

from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple
from typing import TypedDict

from experiments.allocation import GRAIN
from experiments.contexts import read_context
from experiments.counting import EXPOSURES
from experiments.counting import Measures
from experiments.events import checked_visitor
from experiments.model import Experiment
from experiments.signing import Keyring
from experiments.signing import disguised
from experiments.signing import pseudonym
from experiments.snapshot import all_experiments
from experiments.storage.events import EventRow
from experiments.storage.opt_outs import OptOutRow
from experiments.storage.session import Session
from experiments.storage.store import Store
from experiments.storage.visitors import ExposureRow
from experiments.times import iso


class KnownExposure(TypedDict):
    """What the first exposure in an experiment fixed, with the attributes that are stored; and how many there were."""

    experiment: str
    arm: str
    segment: str
    epoch: int
    propensity: float
    at: str
    asserted: bool
    attributes: dict[str, Any] | None
    exposures: int


class KnownEvent(TypedDict):
    """An event as it is stored: `id` is a digest, `amounts` are those properties that a metric adds up."""

    id: str
    kind: str
    name: str
    at: str
    received_at: str
    trusted: bool
    experiments: list[str]
    amounts: dict[str, float] | None
    arm: str | None
    segment: str | None
    epoch: int | None
    propensity: float | None
    attributes: dict[str, Any] | None


class KnownTotal(TypedDict):
    """What was reached in a metric, and what that counts for; money in minor units, profit in 10,000ths of one."""

    experiment: str
    metric: str
    total: int
    counts_for: int


class KnownWaiting(TypedDict):
    """An outcome that counts once its exposure is known, until when that must be."""

    experiment: str
    event: str
    until: str


class Known(TypedDict):
    """What is in the rows of a visitor."""

    exposures: list[KnownExposure]
    events: list[KnownEvent]
    totals: list[KnownTotal]
    waiting: list[KnownWaiting]


class Access(Known):
    """All that is stored under `stored_as`, which stands for the visitor.

    `opted_out` says whether the visitor objects, since when is in `since`; `erased_until` until when nothing is stored.
    """

    stored_as: str
    opted_out: bool
    since: str | None
    erased_until: str | None


class _Visitor(NamedTuple):
    session: Session
    stand_in: bytes


def access(store: Store, visitor: object, *, keyring: Keyring) -> Access:
    """All that is known of a visitor.

    :raises RejectedEvent: `invalid_visitor`, if the id is none.
    :raises StorageError: if the database that has the visitor cannot be asked.
    """
    stand_in = pseudonym(checked_visitor(visitor, "id"), key=keyring.visitors)
    [mark] = disguised([stand_in], key=keyring.tombstones)

    def read(session: Session) -> tuple[dict[str, Experiment], OptOutRow | None, int | None]:
        return all_experiments(session), session.opt_outs.get(stand_in), session.tombstones.of([mark]).get(mark)

    experiments, objection, until_ms = store.read(read)
    known = store.part_of(stand_in).read(lambda session: _known(_Visitor(session, stand_in), experiments))
    return {
        "stored_as": stand_in.hex(),
        **known,
        "opted_out": objection is not None and objection.is_out,
        "since": None if objection is None else iso(objection.at_ms),
        "erased_until": None if until_ms is None else iso(until_ms),
    }


def _known(visitor: _Visitor, experiments: Mapping[str, Experiment]) -> Known:
    session, stand_in = visitor
    exposures = session.exposures.of_visitor(stand_in, experiments)
    return {
        "exposures": [_exposure(key, row) for key, row in sorted(exposures.items())],
        "events": [_event(row) for _, row in session.events.of_visitors([stand_in])],
        "totals": [each for key, one in experiments.items() for each in _totals(visitor, one, exposures.get(key))],
        "waiting": [each for key in experiments for each in _waiting(visitor, key)],
    }


def _exposure(experiment: str, row: ExposureRow) -> KnownExposure:
    return {
        "experiment": experiment,
        "arm": row.arm,
        "segment": row.segment,
        "epoch": row.epoch,
        "propensity": row.weight / GRAIN,
        "at": iso(row.at_ms),
        "asserted": row.asserted,
        "attributes": None if row.context is None else read_context(row.context),
        "exposures": row.n,
    }


def _event(row: EventRow) -> KnownEvent:
    return {
        "id": row.id.hex(),
        "kind": row.kind,
        "name": row.name,
        "at": iso(row.at_ms),
        "received_at": iso(row.received_ms),
        "trusted": row.trusted,
        "experiments": list(row.experiments),
        "amounts": None if row.amounts is None else dict(row.amounts),
        "arm": row.arm,
        "segment": row.segment,
        "epoch": row.epoch,
        "propensity": None if row.weight is None else row.weight / GRAIN,
        "attributes": None if row.context is None else read_context(row.context),
    }


def _totals(visitor: _Visitor, experiment: Experiment, exposure: ExposureRow | None) -> Iterator[KnownTotal]:
    if exposure is None:
        return
    rows = visitor.session.totals.of_visitors(experiment.key, [visitor.stand_in])
    totals = {metric: total for _, metric, total in rows} | {EXPOSURES: exposure.n}
    for metric, counted in Measures(experiment).values(exposure.arm, totals):
        yield {
            "experiment": experiment.key,
            "metric": metric,
            "total": totals.get(metric, counted),
            "counts_for": counted,
        }


def _waiting(visitor: _Visitor, experiment: str) -> Iterator[KnownWaiting]:
    for row in visitor.session.waiting.of_visitors(experiment, [visitor.stand_in]):
        yield {"experiment": experiment, "event": row.event.id.hex(), "until": iso(row.until_ms)}
