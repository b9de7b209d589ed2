"""What the visitors of a list get, put together once for all who get the same."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.assignment import Assignment
from experiments.assignment import Plan
from experiments.deciding import Decisions
from experiments.errors import InvalidContext
from experiments.evaluation import Evaluation
from experiments.messages.columns import Messages
from experiments.messages.columns import write_all
from experiments.receipts import Receipt
from experiments.visitor_lists import VisitorList


class Assigned(NamedTuple):
    """What one visitor gets, and what became of the exposure: None where none was asked for."""

    evaluation: Evaluation
    exposure: Receipt | None


class Answers(NamedTuple):
    """What the visitors of a list get, member by member and in order; nothing counts where there is a fault."""

    plan: Plan
    listed: VisitorList
    decisions: Decisions
    tokens: Sequence[str | None]
    receipts: Sequence[Receipt | None]

    def counts(self) -> list[tuple[Assignment, int]]:
        """How many visitors get each of the different assignments; those with a fault get none."""
        places = np.delete(self.decisions.places, list(self.listed.faults))
        numbers = np.bincount(places, minlength=len(self.decisions.different)).tolist()
        return [pair for pair in zip(self.decisions.different, numbers, strict=True) if pair[1]]

    def messages(self) -> Messages:
        """What each visitor's arm says."""
        return write_all(self.plan, self.decisions, self.listed.columns)

    def each(self) -> list[Assigned | InvalidContext]:
        """One answer for each visitor, errors among them."""
        arms = self.plan.experiment.arm_by_key
        messages = self.messages()
        said = [messages.different[place] for place in messages.places.tolist()]
        rows = zip(said, self.tokens, self.receipts, strict=True)
        return [
            self.listed.faults.get(index)
            or Assigned(Evaluation(assignment, arms[assignment.arm].role, message, token), receipt)
            for index, ((assignment, message), token, receipt) in enumerate(rows)
        ]
