"""The restores: which epoch was the newest of an experiment whenever a backup was brought back."""

from experiments.storage.connection import Connection


class Restores:
    """Append-only."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def mark(self, *, now_ms: int) -> None:
        """Say that what came after the newest epochs is lost."""
        self._connection.execute(
            "INSERT INTO restores (experiment, epoch, at_ms)"
            " SELECT experiment, max(epoch), ? FROM ledger GROUP BY experiment"
            " ON CONFLICT (experiment, epoch) DO NOTHING",
            (now_ms,),
        )

    def all(self) -> dict[str, tuple[int, ...]]:
        """The newest epochs in each backup that was brought back, by experiment."""
        found: dict[str, tuple[int, ...]] = {}
        for experiment, epoch in self._connection.execute("SELECT experiment, epoch FROM restores"):
            found[experiment] = (*found.get(experiment, ()), epoch)
        return found

    def epochs(self, experiment: str) -> tuple[int, ...]:
        """The newest epoch of an experiment in each backup that was brought back."""
        rows = self._connection.execute("SELECT epoch FROM restores WHERE experiment = ?", (experiment,))
        return tuple(epoch for (epoch,) in rows)
