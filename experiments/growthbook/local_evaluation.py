"""Local evaluation: what clients need to evaluate by themselves, as it stands now."""

from typing import Any

from experiments.assignment import Consent
from experiments.growthbook.payload import payload_of
from experiments.snapshot import Snapshot


def growthbook_payload(snapshot: Snapshot, *, consent_default: Consent) -> dict[str, Any]:
    """The payload for GrowthBook's SDKs: every live experiment with `local_evaluation`, and no other."""
    offers = [
        (entry.plan, entry.stored.state)
        for entry in snapshot.entries.values()
        if entry.plan is not None and entry.stored.is_live and entry.experiment.local_evaluation
    ]
    return payload_of(offers, changed_ms=snapshot.changed_ms, consent_default=consent_default)
