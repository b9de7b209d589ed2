"""Decisions that affect people legally or as much, such as prices and credit: no policy makes them by itself.

Nobody need be subject to such a decision without a person who decides (GDPR, Article 22). Whoever writes the document
says whether its arms are of that kind; where a policy moves traffic all the same, the reason is on record.
"""

from collections.abc import Iterator

from experiments.errors import Problem
from experiments.model import Experiment


def impact_faults(experiment: Experiment) -> Iterator[Problem]:
    """An adaptive policy over such arms without a reason on record."""
    if experiment.decision_impact and experiment.policy.kind != "fixed" and not overriding(experiment):
        rule = (
            "cannot move traffic by itself where decision_impact says that arms affect people legally or as much: make"
            " it fixed, or record in decision_override why it may"
        )
        yield Problem("policy.kind", experiment.policy.kind, rule)


def overriding(experiment: Experiment) -> str:
    """Why a policy may move traffic between such arms all the same; empty where nothing is said or need be."""
    return (experiment.decision_override or "").strip() if experiment.decision_impact else ""
