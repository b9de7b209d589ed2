"""The gallery: ready campaigns of each kind of segment, each with its story and with what is true of its visitors."""

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from experiments.document import parse_document
from experiments.model import Experiment
from experiments.reading.assumptions import read_assumptions
from experiments.simulation.assumptions import Assumptions
from experiments.simulation.truth import Truth
from experiments.simulation.truth import truth_of

_FOLDER = Path(__file__).parents[1] / "data" / "gallery"

Attributes = Mapping[str, Sequence[str | int | bool]]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A ready campaign.

    Attributes:
        story: what is tried, and what comes of it.
        known_case: who is known to have done the like; `source` is where that can be read.
        document: the experiment's.
        days: how long visitors come.
        assumed: what is true of them, in the form in which a pre-flight assumes it.
        attributes: by segment, the values that its visitors have.
    """

    story: str
    known_case: str
    source: str
    document: Mapping[str, Any]
    days: int
    assumed: Mapping[str, Any]
    attributes: Mapping[str, Attributes]

    @property
    def name(self) -> str:
        """The key of its experiment."""
        return str(self.document["key"])

    @property
    def kind(self) -> str:
        """The kind of all its segments."""
        return str(self.document["segments"][0]["kind"])

    @property
    def experiment(self) -> Experiment:
        """What the document says."""
        return parse_document(dict(self.document))

    @property
    def assumptions(self) -> Assumptions:
        """What is true of its visitors."""
        return read_assumptions(dict(self.assumed), self.experiment, days=self.days)

    @property
    def truth(self) -> Truth:
        """What each arm is worth in each segment."""
        experiment = self.experiment
        return truth_of(experiment, self.assumptions.world(experiment), days=self.days)


@cache
def gallery() -> Mapping[str, Entry]:
    """Every entry by its name, in the order of the names."""
    entries = (msgspec.json.decode(path.read_bytes(), type=Entry) for path in sorted(_FOLDER.glob("*.json")))
    return {entry.name: entry for entry in entries}
