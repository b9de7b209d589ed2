"""Exposures that were looked up lately: what they fixed never changes, so it holds while nobody can be asked."""

from collections.abc import Iterable
from collections.abc import Mapping
from threading import Lock

from experiments.storage.visitors import ExposureRow
from experiments.storage.visitors import VisitorKey

#: About four hundred bytes each.
_MOST = 100_000


class Remembered:
    """The exposures asked for last, of so many visitors at most."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._lock = Lock()
        self._rows: dict[VisitorKey, ExposureRow] = {}

    def keep(self, visitor: bytes, rows: Mapping[str, ExposureRow]) -> None:
        """Remember a visitor's exposures, by experiment, in place of those that nobody has asked for in longest."""
        with self._lock:
            for experiment, row in rows.items():
                self._rows.pop((experiment, visitor), None)
                self._rows[experiment, visitor] = row
            while len(self._rows) > self._most:
                del self._rows[next(iter(self._rows))]

    def of(self, visitor: bytes, experiments: Iterable[str]) -> dict[str, ExposureRow]:
        """Those of a visitor's exposures that are remembered."""
        with self._lock:
            found = {experiment: self._rows.get((experiment, visitor)) for experiment in experiments}
        return {experiment: row for experiment, row in found.items() if row is not None}
