"""How many evaluations came with which consent: counts of an experiment and a day (UTC), of nobody in particular."""

from collections.abc import Mapping

from experiments.assignment import Assignment
from experiments.assignment import Consent
from experiments.model import NO_PERSONALISATION
from experiments.storage.store import Store
from experiments.times import date_of
from experiments.times import day_of

_PREFIX = "evaluations"


def consent_of_assignment(assignment: Assignment) -> Consent:
    """What the visitor of an assignment consents to, as far as that decided it; who opted out consents to nothing."""
    if assignment.cause in ("no_consent", "opted_out"):
        return "none"
    return "measure" if assignment.segment == NO_PERSONALISATION else "personalise"


def keep_counts(store: Store, counts: Mapping[tuple[str, str], int], *, now_ms: int) -> None:
    """Add evaluations by experiment and consent to those of today."""
    day = date_of(day_of(now_ms))
    changes = [((experiment, f"{_PREFIX} {consent} {day}"), n) for (experiment, consent), n in counts.items()]
    store.transact(lambda session: session.counters.add(changes))


def counts_of(counters: Mapping[str, int]) -> dict[str, int]:
    """The evaluations of an experiment by consent, over all days."""
    counts = dict.fromkeys(("personalise", "measure", "none"), 0)
    for name, n in counters.items():
        prefix, _, rest = name.partition(" ")
        if prefix == _PREFIX:
            counts[rest.partition(" ")[0]] += n
    return counts
