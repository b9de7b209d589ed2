"""History: the record of an experiment as it was exported, whose visitors an engine adds up."""

from collections.abc import Callable
from functools import cached_property
from functools import reduce

from experiments.columns import Table
from experiments.columns import by_metric
from experiments.contexts import Contexts
from experiments.discovery.searches import Record
from experiments.history.cubes import all_terms
from experiments.history.cubes import cells_of_cube
from experiments.history.cubes import contexts_of_cube
from experiments.history.cubes import goal_terms
from experiments.history.cubes import past_of_cube
from experiments.history.sources import Matured
from experiments.inputs import last_open_day
from experiments.lifecycle import find
from experiments.publishing import allocations_of
from experiments.readings import read
from experiments.storage.cells import CellKey
from experiments.storage.cells import CellSums
from experiments.storage.cells import added
from experiments.storage.cubes import CubeRow
from experiments.storage.cubes import Engine
from experiments.storage.cubes import TABLES
from experiments.storage.cubes import Terms
from experiments.storage.history_folder import HistoryFolder
from experiments.storage.history_rows import HistoryCell
from experiments.storage.store import Store


class ExportedHistory:
    """The history of an experiment, as a source that answers what its database did when it was taken.

    :raises InvalidHistory: if it cannot be read, or was not finished.
    """

    def __init__(self, folder: HistoryFolder, engine: Engine) -> None:
        self._folder, self._engine = folder, engine
        self._manifest = folder.whole()

    def known(self, store: Store, key: str) -> Record:
        """The visitors of whom a context is stored.

        :raises UnknownExperiment: if there is none.
        """
        experiment, allocations = store.read(
            lambda session: (find(session, key).experiment, allocations_of(session, key))
        )
        return Record(experiment, allocations, contexts_of_cube(self._cube(goal_terms(experiment))))

    def matured(self, store: Store, key: str, *, now_ms: int) -> Matured:
        """What has come of the visitors by the moment when the history was taken.

        :raises UnknownExperiment: if there is none.
        """
        taken_ms = self._manifest.taken_ms
        assert taken_ms is not None, "only a whole history is read"
        at_ms = min(now_ms, taken_ms)
        readings = store.read(lambda session: read(session, key, now_ms=at_ms))._replace(columns=self._columns())
        goal, terms = readings.experiment.goal, goal_terms(readings.experiment)
        if not Contexts(readings.experiment.attributes):
            return Matured(readings, [])
        return Matured(readings, past_of_cube(self._cube(terms), before_day=last_open_day(goal, now_ms=at_ms)))

    def counted(self) -> CellSums:
        """What the cells counted, those of all databases together."""
        return self._sums(lambda row: (row.n, row.total, row.total_squares))

    def recounted(self, store: Store) -> CellSums:
        """What the cells must have counted, by the visitors and by what had been removed of them.

        :raises UnknownExperiment: if the experiment is gone.
        """
        experiment = store.read(lambda session: find(session, self._manifest.experiment)).experiment
        removed = self._sums(lambda row: (row.removed_n, row.removed_total, row.removed_total_squares))
        return cells_of_cube(experiment, self._cube(all_terms(experiment)), removed)

    def _columns(self) -> Table:
        return by_metric([
            (key.metric, key.epoch, key.day, key.segment, key.arm, *sums, key.context)
            for key, sums in sorted(self.counted().items())
            if not key.asserted
        ])

    def _sums(self, sums: Callable[[HistoryCell], tuple[int, int, float]]) -> CellSums:
        """Sums of the cells, those of all databases together."""
        key = self._manifest.experiment
        parts: list[CellSums] = [{CellKey(key, *row[:7]): sums(row) for row in rows} for rows in self._cells]
        return reduce(added, parts)

    def _cube(self, terms: Terms) -> list[CubeRow]:
        paths = {table: self._folder.paths(self._manifest, table) for table in TABLES}
        return self._engine.cube(paths, terms)

    @cached_property
    def _cells(self) -> list[list[HistoryCell]]:
        return self._folder.cells(self._manifest)
