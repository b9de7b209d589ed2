"""Plans of earlier epochs: made from the ledger when an exposure names one, and kept while they are asked for."""

from experiments.assignment import Plan
from experiments.ledger import allocation_of
from experiments.storage.session import Session

_MOST = 32


class Epochs:
    """The plans asked for last; only the one writer asks, so nothing is locked."""

    def __init__(self) -> None:
        self._plans: dict[tuple[str, int], Plan] = {}

    def plan(self, session: Session, newest: Plan, *, epoch: int) -> Plan | None:
        """An experiment's plan as it was in an epoch; None if there was none. Rules are the same in all of them."""
        if epoch == newest.allocation.epoch:
            return newest
        key = (newest.experiment.key, epoch)
        plan = self._plans.pop(key, None) or _read(session, newest, epoch=epoch)
        if plan is not None:
            self._plans[key] = plan
        if len(self._plans) > _MOST:
            del self._plans[next(iter(self._plans))]
        return plan


def _read(session: Session, newest: Plan, *, epoch: int) -> Plan | None:
    row = session.ledger.epoch(newest.experiment.key, epoch)
    return None if row is None else newest.under(allocation_of(row))
