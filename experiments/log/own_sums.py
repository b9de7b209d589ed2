"""Own sums: what a database has counted itself, without what was collected from others."""

from experiments.storage.cells import CellSums
from experiments.storage.session import Session


def own_cells(session: Session, experiment: str) -> CellSums:
    """The cells of an experiment as this database has counted them.

    Those of all databases together are those of one that is not divided. Of a partition that was moved away, what
    nodes without a log had counted stays behind.
    """
    if session.watermarks.oldest_ms() is None:
        return {key: (n, total, squares) for key, n, total, squares in session.cells.of(experiment)}
    return session.sums.own(experiment)


def own_removed(session: Session, experiment: str) -> CellSums:
    """How much of these is no longer in the events, where that is any."""
    if session.watermarks.oldest_ms() is None:
        return session.cells.removed(experiment)
    removed = session.sums.own(experiment, prefix="removed_")
    return {key: sums for key, sums in removed.items() if any(sums)}
