"""Tallies: what this process has done since it began, counted on the way for a tenth of a microsecond."""

from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import field

from experiments.assignment import Assignment
from experiments.privacy.consent_counts import consent_of_assignment

Labels = tuple[str, ...]


class Tally:
    """Counts by labels, added to by any thread without a lock.

    Adding to a number that is there is safe: CPython lets another thread in only where a function is called or begins,
    and where a loop goes back, so not between reading the number and writing it. A new one is put there by one call.
    """

    def __init__(self) -> None:
        self._counts: dict[Labels, int] = {}

    def add(self, labels: Labels, n: int = 1) -> None:
        """Count so many more."""
        counts = self._counts
        try:
            counts[labels] += n
        except KeyError:
            counts.setdefault(labels, 0)
            counts[labels] += n

    def add_all(self, many: Iterable[Labels]) -> None:
        """Count one more for each."""
        for labels in many:
            self.add(labels)

    def counts(self) -> dict[Labels, int]:
        """Every count, as of now."""
        return self._counts.copy()


@dataclass(frozen=True)
class Tallies:
    """What is counted.

    Labels: of evaluations experiment, arm and cause; of consents, which are evaluations too, experiment and consent; of
    events status and code; of refusals route and status; of jobs that failed their name. All of them come from the
    configuration or the code, never from a request, so that nobody can make them many.
    """

    evaluations: Tally = field(default_factory=Tally)
    events: Tally = field(default_factory=Tally)
    refusals: Tally = field(default_factory=Tally)
    failures: Tally = field(default_factory=Tally)
    consents: Tally = field(default_factory=Tally)

    def evaluated(self, experiment: str, assignment: Assignment, n: int = 1) -> None:
        """Count evaluations that came to this assignment."""
        self.evaluations.add((experiment, assignment.arm, assignment.cause), n)
        self.consents.add((experiment, consent_of_assignment(assignment)), n)
