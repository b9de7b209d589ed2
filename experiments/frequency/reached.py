"""Caps on exposures, asked of the record: who has been exposed as often as may be, in an experiment or in all."""

from collections import defaultdict
from collections.abc import Collection
from collections.abc import Iterator

from experiments.durations import format_duration
from experiments.frequency.caps import Cap
from experiments.frequency.caps import cap_of
from experiments.model import Experiment
from experiments.storage.session import Session

#: The counter of visitors who were left out.
CAPPED = "capped"

#: When a visitor was exposed, by experiment.
_Exposed = dict[str, list[int]]


class Caps:
    """The caps that hold for an experiment's visitors; none at all costs nothing."""

    def __init__(self, experiment: Experiment, over_all: Cap | None) -> None:
        self._experiment = experiment
        self._over_all = over_all

    def __bool__(self) -> bool:
        """Whether any cap holds."""
        return self._over_all is not None or self._experiment.frequency is not None

    def reached(self, session: Session, stand_ins: Collection[bytes], *, own: bytes, now_ms: int) -> dict[bytes, str]:
        """The visitors who have reached a cap, and which.

        Whom the call exposed before, by the event `own`, it exposes no further, and so it may always be repeated.
        """
        exposed: dict[bytes, _Exposed] = defaultdict(lambda: defaultdict(list))
        repeated = set()
        since_ms = now_ms - self._longest_seconds() * 1000
        for stand_in, id, experiment, at_ms in session.events.exposures_since(set(stand_ins), since_ms=since_ms):
            exposed[stand_in][experiment].append(at_ms)
            if id == own:
                repeated.add(stand_in)
        rules = {
            stand_in: next(self._rules(stand_in, times, now_ms=now_ms), None) for stand_in, times in exposed.items()
        }
        return {stand_in: rule for stand_in, rule in rules.items() if rule and stand_in not in repeated}

    def _longest_seconds(self) -> int:
        of_experiment = self._experiment.frequency.per_seconds if self._experiment.frequency else 0
        return max(of_experiment, self._over_all.seconds if self._over_all else 0)

    def _rules(self, stand_in: bytes, exposed: _Exposed, *, now_ms: int) -> Iterator[str]:
        """The caps that a visitor has reached, each in words."""
        key, frequency = self._experiment.key, self._experiment.frequency
        if frequency:
            cap = cap_of(key, frequency, stand_in)
            if cap.is_reached(exposed[key], now_ms=now_ms):
                yield f"{_exposures(cap)} in {key} is the visitor's cap, and reached"
        if self._over_all and self._over_all.is_reached(sum(exposed.values(), []), now_ms=now_ms):
            yield f"{_exposures(self._over_all)} over all experiments is the cap, and reached"


def _exposures(cap: Cap) -> str:
    return f"{cap.most} exposure{'s' if cap.most > 1 else ''} in {format_duration(cap.seconds)}"
