"""What GrowthBook's SDKs evaluate by themselves: experiments with `local_evaluation`, each a feature of that key.

A running experiment is a contextual bandit: its variations are all arms in the order of the draw, its leaves are the
segments, and an arm that is closed to a segment has weight 0 there, so that the SDKs' ranges are ours. Behind it stands
the same as one plain rule for each segment, for SDKs that pass over contextual bandits. The rules' key names the epoch,
by which a later exposure is held against the draw that was made.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from datetime import datetime
from datetime import timezone
from itertools import chain
from typing import Any
from typing import NamedTuple

from experiments.allocation import GRAIN
from experiments.assignment import Consent
from experiments.assignment import Plan
from experiments.hashing import ranges
from experiments.model import EVERYONE_ELSE
from experiments.model import NO_PERSONALISATION
from experiments.model import State
from experiments.rules.growthbook import condition_of

Json = dict[str, Any]


class Population(NamedTuple):
    """The visitors of a segment: the condition that finds them, None for all that are left."""

    segment: str
    condition: Json | None


def payload_of(offers: Iterable[tuple[Plan, State]], *, changed_ms: int, consent_default: Consent) -> Json:
    """The payload of experiments in their states; `changed_ms` is when any of it last changed."""
    features, bandits = {}, {}
    for plan, state in offers:
        key = plan.experiment.key
        populations = _populations(plan, consent_default)
        features[key] = _feature(plan, state, populations=populations, consent_default=consent_default)
        if state == "running":
            bandits[key] = _bandit(plan, populations)
    return {
        "status": 200,
        "features": features,
        "contextualBandits": bandits,
        "savedGroups": {},
        "dateUpdated": _to_the_millisecond(changed_ms),
    }


def _populations(plan: Plan, consent_default: Consent) -> list[Population]:
    """The segments in the order in which they are tried."""
    types = {name: attribute.type for name, attribute in plan.experiment.attributes.items()}
    measured = {"consent": {"$in": _consents("measure", default=consent_default)}}
    return [
        Population(NO_PERSONALISATION, measured),
        *(Population(segment.key, condition_of(segment.rule, types)) for segment in plan.experiment.segments),
        Population(EVERYONE_ELSE, None),
    ]


def _consents(*consents: Consent, default: Consent) -> list[Consent | None]:
    """The values of the attribute `consent` that mean one of these; null where nothing is said."""
    return [*consents, None] if default in consents else list(consents)


def _feature(plan: Plan, state: State, *, populations: Sequence[Population], consent_default: Consent) -> Json:
    messages = {arm.key: plan.message(arm.key, {}) for arm in plan.experiment.arms}
    mass = messages[plan.experiment.first_mass.key]
    if state == "paused":
        return {"defaultValue": mass}
    asked = _consents("measure", "personalise", default=consent_default)
    unasked = {"condition": {"consent": {"$nin": asked}}, "force": mass}
    rules = _drawn_rules if state == "running" else _forced_rules
    return {"defaultValue": mass, "rules": [unasked, *rules(plan, populations, messages=messages)]}


def _drawn_rules(plan: Plan, populations: Sequence[Population], *, messages: Mapping[str, Json]) -> Iterator[Json]:
    """The contextual bandit, and its leaves as rules; who is counted reports their key."""
    arms = _pair([arm.key for arm in plan.experiment.drawn_arms])
    yield {
        **_experiment(plan, arms, segment=EVERYONE_ELSE),
        "contextualVariations": [messages[arm] for arm in arms],
        "contextualBanditRef": plan.experiment.key,
    }
    for segment, condition in populations:
        open_arms = _pair(list(plan.allocation.weights[segment]))
        rule = {
            **_experiment(plan, open_arms, segment=segment), "variations": [messages[arm] for arm in open_arms]
        }
        yield rule if condition is None else {"condition": condition, **rule}


def _pair(arms: list[str]) -> list[str]:
    """At least two arms: of one alone SDKs make no experiment. The second of the same name has weight 0."""
    return arms * 2 if len(arms) == 1 else arms


def _experiment(plan: Plan, arms: Sequence[str], *, segment: str) -> Json:
    return {
        "key": f"{plan.experiment.key}@{plan.allocation.epoch}",
        **_draw(plan),
        "coverage": 1,
        "weights": _weights(plan, arms, segment=segment),
        "meta": [{"key": arm} for arm in arms],
    }


def _draw(plan: Plan) -> Json:
    return {"seed": plan.experiment.key, "hashAttribute": "id", "hashVersion": 2}


def _weights(plan: Plan, arms: Sequence[str], *, segment: str) -> list[float]:
    weight_by_arm = dict(plan.allocation.weights[segment])
    return [weight_by_arm.pop(arm, 0) / GRAIN for arm in arms]


def _bandit(plan: Plan, populations: Sequence[Population]) -> Json:
    arms = _pair([arm.key for arm in plan.experiment.drawn_arms])
    return {
        "banditVersion": plan.allocation.epoch,
        "contexts": [
            {"leafId": leaf, "condition": condition, "weights": _weights(plan, arms, segment=segment)}
            for leaf, (segment, condition) in enumerate(populations)
            if condition is not None
        ],
    }


def _forced_rules(plan: Plan, populations: Sequence[Population], *, messages: Mapping[str, Json]) -> Iterator[Json]:
    """The last draw without an experiment, so that nobody new is reported."""
    return chain.from_iterable(_forced(plan, population, messages=messages) for population in populations)


def _forced(plan: Plan, population: Population, *, messages: Mapping[str, Json]) -> Iterator[Json]:
    weights = plan.allocation.weights[population.segment]
    for arm, bounds in zip(weights, ranges(weight / GRAIN for weight in weights.values()), strict=True):
        rule = {"force": messages[arm], **_draw(plan), "range": bounds}
        yield rule if population.condition is None else {"condition": population.condition, **rule}


def _to_the_millisecond(at_ms: int) -> str:
    # Browsers tell one payload from the next by this text, and two changes may fall into one second.
    moment = datetime.fromtimestamp(at_ms / 1000, timezone.utc)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
