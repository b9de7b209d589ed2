"""GrowthBook's SDK for Python, told the rules and weights of one of our experiments."""

from collections.abc import Iterable

from growthbook import Experiment
from growthbook import GrowthBook

from benchmarks.mailing import Customer
from experiments.allocation import GRAIN
from experiments.assignment import Plan
from experiments.model import EVERYONE_ELSE


class Sdk:
    """One instance, whose attributes change from visitor to visitor: the quickest way to use it for many."""

    def __init__(self, plan: Plan) -> None:
        self._growthbook = GrowthBook()
        rules = [(segment.key, dict(segment.rule)) for segment in plan.experiment.segments]
        self._experiments = [_experiment(plan, *each) for each in (*rules, (EVERYONE_ELSE, None))]

    def decide(self, customer: Customer) -> str:
        """The arm that a visitor gets: of the first experiment that includes it."""
        self._growthbook.set_attributes({"id": customer.id, **customer.attributes})
        for experiment in self._experiments:
            result = self._growthbook.run(experiment)
            if result.inExperiment:
                return str(result.value)
        raise AssertionError(f"nothing includes {customer}")

    def decide_all(self, customers: Iterable[Customer]) -> list[str]:
        """The arm of each."""
        return [self.decide(customer) for customer in customers]


def _experiment(plan: Plan, segment: str, rule: dict[str, object] | None) -> "Experiment[str]":
    weights = plan.allocation.weights[segment]
    return Experiment(
        key=f"{plan.experiment.key}-{segment}",
        seed=plan.experiment.key,
        hashVersion=2,
        variations=list(weights),
        weights=[weight / GRAIN for weight in weights.values()],
        condition=rule,
    )
