"""Look-ups of exposures on a shared database: whoever came while the server was answering is asked for together."""

from collections import defaultdict
from collections.abc import Sequence
from threading import Thread
from typing import NamedTuple

import psycopg

from experiments.errors import StorageError
from experiments.storage.groups import Call
from experiments.storage.groups import Groups
from experiments.storage.location import Server
from experiments.storage.postgres import connect
from experiments.storage.postgres import is_loss
from experiments.storage.postgres import storage_error
from experiments.storage.reach import Reach
from experiments.storage.session import Session
from experiments.storage.visitors import ExposureRow

Exposures = dict[str, ExposureRow]


class Asked(NamedTuple):
    """A visitor, and the experiments that are evaluated."""

    visitor: bytes
    experiments: tuple[str, ...]


def _look_up(session: Session, asked: Sequence[Asked]) -> list[Exposures]:
    """The exposures of each who is asked for, by experiment."""
    visitors: defaultdict[str, list[bytes]] = defaultdict(list)
    for visitor, experiments in asked:
        for experiment in experiments:
            visitors[experiment].append(visitor)
    found = {
        experiment: dict(session.exposures.of_visitors(experiment, those)) for experiment, those in visitors.items()
    }
    return [
        {experiment: row for experiment in each.experiments if (row := found[experiment].get(each.visitor))}
        for each in asked
    ]


class Lookups:
    """A thread with a connection of its own, opened anew where it was lost."""

    def __init__(self, server: Server, reach: Reach) -> None:
        self._server = server
        self._groups = Groups(server, is_lost=reach.is_lost)
        self._session: Session | None = None
        self._thread = Thread(target=self._serve, name="lookups", daemon=True)
        self._thread.start()

    def of_visitor(self, visitor: bytes, experiments: Sequence[str]) -> Exposures:
        """A visitor's exposures, by those of the experiments where there is one.

        :raises StorageError: if they cannot be had now.
        """
        return self._groups.ask(_look_up, Asked(visitor, tuple(experiments)))

    def close(self) -> None:
        """Look up who waits, then let the connection go."""
        self._groups.end()
        self._thread.join()
        self._let_go()

    def _serve(self) -> None:
        while first := self._groups.first():
            self._answer(self._groups.with_others(first))

    def _answer(self, calls: Sequence[Call]) -> None:
        try:
            results = self._found([call.item for call in calls])
        except Exception as error:
            for call in calls:
                call.fault = error
        else:
            for call, result in zip(calls, results, strict=True):
                call.result = result
        for call in calls:
            call.tell()

    def _found(self, asked: Sequence[Asked]) -> list[Exposures]:
        try:
            return self._attempt(asked)
        except StorageError:
            # The connection may have been lost while nobody asked.
            return self._attempt(asked)

    def _attempt(self, asked: Sequence[Asked]) -> list[Exposures]:
        try:
            self._session = self._session or Session(connect(self._server))
            return _look_up(self._session, asked)
        except psycopg.Error as error:
            if is_loss(error):
                self._let_go()
            raise storage_error(self._server, error) from error

    def _let_go(self) -> None:
        if self._session:
            self._session.connection.close()
        self._session = None
