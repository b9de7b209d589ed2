"""Pre-flight: before anything is sent, an experiment's campaign simulated under each policy, and what follows."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from dataclasses import replace
from itertools import chain
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np

from experiments.allocation import first_allocation
from experiments.arrivals import arrivals
from experiments.document import parse_document
from experiments.errors import InvalidDocument
from experiments.errors import Problem
from experiments.metric_kinds import MetricKind
from experiments.model import Experiment
from experiments.model import Policy
from experiments.policies import is_settled
from experiments.policy_kinds import BUILT_IN
from experiments.reading.assumptions import read_assumptions
from experiments.simulation.advice import Advice
from experiments.simulation.advice import advise
from experiments.simulation.assumptions import Assumptions
from experiments.simulation.effects import Effect
from experiments.simulation.effects import effects
from experiments.simulation.forecasts import Forecast
from experiments.simulation.forecasts import forecast
from experiments.simulation.outcomes import Outcome
from experiments.simulation.outcomes import Plan
from experiments.simulation.outcomes import run
from experiments.simulation.truth import truth_of
from experiments.simulation.world import World
from experiments.simulation.world import places_of

#: The name of a fixed policy whose shares the document gives, beside the even one.
SHARES = "shares"

#: Days of exposure, days that conversions take, segments and arms: what one campaign keeps in memory.
MAX_CELLS = 20_000_000

#: Campaigns of one part of the work.
_AT_ONCE = 5

#: Lets somebody see parts of the work pass, told how many there will be.
Watched = Callable[[Iterable[list[Outcome]], int], Iterable[list[Outcome]]]


@dataclass(frozen=True)
class Preflight:
    """What a pre-flight says.

    Attributes:
        own: the policy of the document, one of those in `policies`, of which the first is the even split.
        fixed_cost: of making all messages.
    """

    experiment: str
    objective: str
    goal: str
    goal_kind: MetricKind
    currency: str
    days: int
    runs: int
    seed: int
    assumptions: Assumptions
    own: str
    advice: Advice
    policies: tuple[Forecast, ...]
    effects: tuple[Effect, ...]
    fixed_cost: float


def preflight(
    document: object,
    assumptions: object,
    *,
    days: int,
    runs: int,
    seed: int,
    workers: int = 1,
    by_context: bool = True,
    watched: Watched = lambda parts, length: parts,
) -> Preflight:
    """Simulate so many campaigns of each policy; the same figures from a seed, however many processes work on them.

    Weights by context take many times as long to simulate as all others; not `by_context`, they go by segment.
    `watched` passes on the parts of the work as they are done, `length` of them.

    :raises InvalidDocument: if the document or the assumptions cannot work.
    """
    given = parse_document(document)
    experiment = _by_segment(given)
    compared = given if by_context else experiment
    assumed = read_assumptions(assumptions, compared, days=days)
    world = assumed.world(experiment)
    contexts = assumed.contexts(compared)
    _check_size(experiment, world, days=days, contexts=1 if contexts is None else len(contexts.contexts))
    plan = Plan(experiment, world, truth_of(experiment, world, days=days), days, assumed.visitors_per_day, contexts)
    plans = {name: plan._replace(experiment=variant) for name, variant in _variants(compared).items()}
    alike = {name: _first_alike(plans, one) for name, one in plans.items()}
    simulated = {name: plans[name] for name in dict.fromkeys(alike.values())}
    found = _simulated(simulated, runs=runs, seed=seed, workers=workers, watched=watched)
    forecasts = tuple(forecast(name, found[alike[name]], plan.truth) for name in plans)
    worth_testing = tuple(effects(plan))
    return Preflight(
        experiment.key,
        experiment.objective,
        experiment.goal.key,
        experiment.goal.kind,
        experiment.currency,
        days,
        runs,
        seed,
        assumed,
        own=SHARES if compared.policy.shares is not None else compared.policy.kind,
        advice=advise(plan._replace(experiment=given), forecasts, worth_testing),
        policies=forecasts,
        effects=worth_testing,
        fixed_cost=float(sum(arm.fixed_cost for arm in experiment.arms)),
    )


def _by_segment(experiment: Experiment) -> Experiment:
    """The experiment with weights by segment: what is true of segments does not depend on smaller parts."""
    if not experiment.is_contextual:
        return experiment
    return replace(experiment, policy=replace(experiment.policy, kind="thompson"))


def _check_size(experiment: Experiment, world: World, *, days: int, contexts: int) -> None:
    arms = places_of(experiment).arms.size * contexts
    cells = days * len(arrivals(experiment.goal, mean_seconds=world.delay_seconds, days=days).days) * arms
    if cells > MAX_CELLS:
        what = "days, days that conversions take, segments, contexts, arms"
        rule = f"cells are too many to simulate, at most {MAX_CELLS}: {what}"
        raise InvalidDocument([Problem("document", cells, rule)])


def _variants(experiment: Experiment) -> dict[str, Experiment]:
    """The experiment under each policy, the even split first, within the limits of its own."""
    even = replace(experiment.policy, shares=None, min_share=_floor(experiment))
    policies: dict[str, Policy] = {kind: replace(even, kind=kind) for kind in _kinds(experiment)}
    if experiment.policy.shares is not None:
        policies[SHARES] = experiment.policy
    return {name: replace(experiment, policy=policy) for name, policy in policies.items()}


def _kinds(experiment: Experiment) -> list[str]:
    """The policies to compare; a package's and the one by context where the document has it."""
    kinds = dict.fromkeys((*BUILT_IN, experiment.policy.kind))
    return [kind for kind in kinds if kind != "contextual_thompson" or experiment.is_contextual]


def _floor(experiment: Experiment) -> float:
    """The smallest share of an arm: a fixed policy, which keeps none, may name one that is too large for others."""
    most = max(len(experiment.candidates(segment)) for segment in experiment.segment_keys)
    return min(experiment.policy.min_share, (1 - experiment.control_share) / most)


def _first_alike(plans: Mapping[str, Plan], plan: Plan) -> str:
    """The first of the plans whose campaigns go as this one's, number by number."""
    return next(name for name, other in plans.items() if other is plan or _settled(other) == _settled(plan) != {})


def _settled(plan: Plan) -> Mapping[str, Mapping[str, int]]:
    """The weights that a plan keeps from beginning to end; none where it may move them."""
    return first_allocation(plan.experiment).weights if is_settled(plan.experiment) else {}


class _Part(NamedTuple):
    """Some of a plan's campaigns, by their numbers."""

    plan: Plan
    numbers: range
    seed: int


def _simulated(
    plans: Mapping[str, Plan], *, runs: int, seed: int, workers: int, watched: Watched
) -> dict[str, list[Outcome]]:
    """The outcomes of each plan, in the order of the campaigns' numbers."""
    starts = range(0, runs, _AT_ONCE)
    parts = [_Part(plan, range(runs)[start : start + _AT_ONCE], seed) for plan in plans.values() for start in starts]
    outcomes = list(chain.from_iterable(watched(_worked_off(parts, workers=workers), len(parts))))
    return {name: outcomes[place * runs : (place + 1) * runs] for place, name in enumerate(plans)}


def _worked_off(parts: list[_Part], *, workers: int) -> Iterator[list[Outcome]]:
    if workers == 1:
        yield from map(_work_off, parts)
        return
    # A process that is forked beside threads may inherit a lock that nobody gives back.
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        yield from pool.map(_work_off, parts)


def _work_off(part: _Part) -> list[Outcome]:
    # Each campaign draws from its own seed, whoever simulates it; every policy from the same ones.
    return [run(part.plan, rng=np.random.default_rng((part.seed, number))) for number in part.numbers]
