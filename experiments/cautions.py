"""Cautions: what the service does by itself where figures may not be believed, or an arm does harm. Pure.

It never guesses: it holds the weights, or gives the traffic of the arm that does harm to the mass arm, says why, and
leaves the rest to a person. What a person takes back rests on evidence that is excused from then on: only as much again
makes the service act another time.
"""

from collections.abc import Iterator
from collections.abc import Sequence
from math import log
from typing import Any
from typing import Literal
from typing import NamedTuple

from experiments.columns import NO_CELLS
from experiments.counting import EXPOSURES
from experiments.counting import TELLERS
from experiments.counting import is_watched
from experiments.diagnostics import ALARM
from experiments.diagnostics import sample_ratio_evidence
from experiments.estimates import corrected
from experiments.forgery import Sign
from experiments.forgery import SignKind
from experiments.forgery import signs
from experiments.guardrails import Judgement
from experiments.guardrails import judgements
from experiments.inputs import metric_columns
from experiments.model import Experiment
from experiments.readings import Readings
from stats.mixtures import mean_evidence

#: The log evidence of forgery that is an alarm: of experiments without any, at most 1 in 100 ever reaches it.
FORGERY = log(100)

_SAMPLE_RATIO = "sample_ratio"

_SAID: dict[SignKind, str] = {
    "at_once": "in {segment}, client keys tell of far more goals reached at once after the exposure for {arm} than for "
               "{over}",
    "by_client": "in {segment}, far more of the goals are told of by client keys for {arm} than for {over}, "
                 "and fewer by servers",
    "rising": "in {segment}, the goals that client keys tell of have shifted to {arm} from {over} from one day to the "
              "next",
}


class Caution(NamedTuple):
    """What is to be done, why in words, and what the ledger's row says beyond that."""

    act: Literal["freeze", "bar"]
    reason: str
    news: dict[str, Any]


def metrics_watched(experiment: Experiment) -> list[str]:
    """The metrics that cautions are made of besides the goal, whose cells hold every visitor too."""
    rails = _rails(experiment)
    return [*([EXPOSURES, *rails] if rails else ()), *(TELLERS if is_watched(experiment.goal) else ())]


def caution(readings: Readings) -> Caution | None:
    """What must be done before traffic moves; None where it may."""
    reasons = (*_shares(readings), *_forgery(readings))
    broken = list(_broken(readings))
    at_home = [rail for rail in broken if rail.arm == readings.experiment.first_mass.key]
    if reasons or at_home:
        reason = next(iter((*reasons, *(_harm(rail) for rail in at_home))))
        return Caution("freeze", reason, {"alarm": reason})
    if not broken:
        return None
    barred = {**readings.restraints.barred, **{rail.arm: rail.metric.key for rail in broken}}
    said = "; ".join(_harm(rail) for rail in broken)
    return Caution("bar", f"{said}: its traffic goes to the mass arm", {"barred": barred})


def evidence(readings: Readings) -> dict[str, float]:
    """The log evidence of every alarm by its name, as far as it speaks for one."""
    found = {_SAMPLE_RATIO: _sample_ratio(readings)}
    found |= {sign.name: sign.evidence for sign in signs(readings)}
    found |= {rail.name: rail.evidence for rail in _judgements(readings)}
    return {name: logs for name, logs in found.items() if logs > 0}


def _shares(readings: Readings) -> Iterator[str]:
    if _sample_ratio(readings) - _excused(readings, _SAMPLE_RATIO) >= ALARM:
        yield "Visitors did not arrive in the planned shares: exposures are lost, or made up"


def _sample_ratio(readings: Readings) -> float:
    return sample_ratio_evidence(readings, readings.columns.get(readings.experiment.goal.key, NO_CELLS))


def _forgery(readings: Readings) -> Iterator[str]:
    """Forgery in words, by its strongest sign, if all of them together speak for it."""
    news = [sign._replace(evidence=sign.evidence - _excused(readings, sign.name)) for sign in signs(readings)]
    if mean_evidence([sign.evidence for sign in news]) >= FORGERY:
        yield _in_words(news)


def _in_words(found: Sequence[Sign]) -> str:
    strongest = max(found, key=lambda sign: sign.evidence)
    return "Outcomes may be forged: " + _SAID[strongest.kind].format(**strongest._asdict())


def _broken(readings: Readings) -> Iterator[Judgement]:
    """Guardrails newly broken by arms that could be shown less; a control shows nothing."""
    for rail in _judgements(readings):
        is_control = readings.experiment.arm_by_key[rail.arm].role == "control"
        is_news = rail.arm not in readings.restraints.barred and not is_control
        if is_news and rail.evidence - _excused(readings, rail.name) >= rail.needed:
            yield rail


def _judgements(readings: Readings) -> list[Judgement]:
    experiment, rails = readings.experiment, _rails(readings.experiment)
    if not rails:
        return []
    columns = {
        metric: metric_columns(experiment, readings.columns, metric=metric) for metric in (EXPOSURES, *rails)
    }
    return judgements(experiment, corrected(readings, columns))


def _rails(experiment: Experiment) -> list[str]:
    return [metric.key for metric in experiment.metrics if metric.role == "guardrail"]


def _harm(rail: Judgement) -> str:
    side = "above" if rail.metric.direction == "decrease" else "below"
    return f"{rail.arm} has pushed {rail.metric.key} {side} its limit of {rail.metric.limit:g} per visitor"


def _excused(readings: Readings, name: str) -> float:
    return readings.restraints.excused.get(name, 0.0)
