"""The assumptions of a pre-flight, which stand beside the experiment document."""

from collections.abc import Iterable
from collections.abc import Mapping

from experiments.errors import InvalidDocument
from experiments.errors import Problem
from experiments.model import Experiment
from experiments.model import Metric
from experiments.model import NO_PERSONALISATION
from experiments.reading.assumed_attributes import ATTRIBUTES
from experiments.reading.assumed_attributes import read_assumed_attributes
from experiments.reading.fields import Fields
from experiments.reading.metrics import MAX_CAP
from experiments.reading.shapes import Field
from experiments.reading.shapes import Named
from experiments.reading.shapes import Section
from experiments.reading.shapes import Shape
from experiments.reading.soundness import unsound_values
from experiments.reading.values import above_zero
from experiments.reading.values import duration
from experiments.reading.values import key
from experiments.reading.values import number
from experiments.reading.values import whole
from experiments.simulation.assumptions import Assumptions
from experiments.simulation.assumptions import BASE_RATE
from experiments.simulation.assumptions import UPLIFT
from experiments.simulation.assumptions import VISITORS_PER_DAY
from experiments.simulation.world import Values

MAX_VISITORS_PER_DAY = 10**7
MAX_DELAY_SECONDS = 365 * 86_400
MAX_UPLIFT = 100.0
MAX_DRIFT = 10.0
_TOLERANCE = 1e-6

_SHARE = number(0, 1)
_GAIN = number(-1, MAX_UPLIFT)
_VISITORS_PER_DAY = Field("visitors_per_day", whole(1, MAX_VISITORS_PER_DAY), "visitors a day, over all segments")
_SEGMENT_SHARES = Field("segment_shares", Named(key, _SHARE), "the share of visitors in each segment; they sum to 1")
_CONSENT_SHARE = Field("consent_share", _SHARE, "the share that consents to personalisation", default=1.0)
_RATES = Field("rates", Named(key, Named(key, _SHARE)), "the rate of every arm, by segment")
_BASE_RATES = Field("base_rates", Named(key, _SHARE), "the mass arm's rate, by segment")
_UPLIFT = Field("uplift", Named(key, Named(key, _GAIN)), "what arms gain over it, as a share of it, by segment")
_VALUES = Field("values", Named(key, number(0, MAX_CAP)), "mean and standard deviation of what a conversion is worth")
_DELAY = Field("delay", duration(0, MAX_DELAY_SECONDS), "how long conversions take on average", default="0s")
_DRIFT = Field("drift", number(-1, MAX_DRIFT), "by which share rates have changed at the end", default=0.0)
_WEEKLY = Field("weekly", _SHARE, "by which share rates swing over the week", default=0.0)
_SECTION = Section(
    "Assumptions",
    (
        _VISITORS_PER_DAY, _SEGMENT_SHARES, _CONSENT_SHARE, _RATES, _BASE_RATES, _UPLIFT, _VALUES, _DELAY, _DRIFT,
        _WEEKLY, ATTRIBUTES,
    ),
)


def _section(title: str, names: Iterable[str], shape: Shape) -> Section:
    """An object whose names are those of the experiment at hand."""
    return Section(title, tuple(Field(name, shape, "") for name in names))


def read_assumptions(value: object, experiment: Experiment, *, days: int) -> Assumptions:
    """What a JSON value assumes of an experiment, with a default for whatever is left out.

    :raises InvalidDocument: with every fault found.
    """
    problems = [
        Problem(f"assumptions.{problem.field}", problem.value, problem.rule) for problem in unsound_values(value)
    ]
    if not problems and not isinstance(value, dict):
        problems = [Problem("assumptions", value, "must be an object")]
    if problems or not isinstance(value, dict):
        raise InvalidDocument(problems)
    assumptions = _read(Fields(value, "assumptions", problems), experiment, days=days)
    if not problems:
        problems += _impossible_rates(assumptions, experiment, days=days)
    if problems:
        raise InvalidDocument(problems)
    return assumptions


def _read(fields: Fields, experiment: Experiment, *, days: int) -> Assumptions:
    fields.only(_SECTION)
    shares = _segment_shares(fields, experiment)
    return Assumptions(
        visitors_per_day=fields.read(_VISITORS_PER_DAY, _planned_visitors(experiment, days=days)),
        segment_shares=shares,
        consent_share=fields.read(_CONSENT_SHARE),
        rates=_rates(fields, experiment, shares),
        values=_values(fields, experiment.goal),
        delay_seconds=fields.read(_DELAY),
        drift=fields.read(_DRIFT),
        weekly=fields.read(_WEEKLY),
        defaults=_defaults(fields, experiment),
        attributes=read_assumed_attributes(fields, experiment),
    )


def _defaults(fields: Fields, experiment: Experiment) -> tuple[str, ...]:
    without = {"rates"} if "rates" not in fields.values else {"base_rates", "uplift"}
    if experiment.goal.unit == "rate":
        without.add("values")
    if not experiment.is_contextual:
        without.add(ATTRIBUTES.name)
    return tuple(name for name in _SECTION.names if name not in fields.values and name not in without)


def _planned_visitors(experiment: Experiment, *, days: int) -> int:
    if experiment.audience is None:
        return VISITORS_PER_DAY
    return min(max(experiment.audience // days, 1), MAX_VISITORS_PER_DAY)


def _personal(experiment: Experiment) -> tuple[str, ...]:
    """The segments of those who consent."""
    return tuple(segment for segment in experiment.segment_keys if segment != NO_PERSONALISATION)


def _segment_shares(fields: Fields, experiment: Experiment) -> dict[str, float]:
    segments = _personal(experiment)
    if "segment_shares" not in fields.values:
        return dict.fromkeys(segments, 1 / len(segments))
    section, faults_before = fields.inner("segment_shares"), len(fields.problems)
    section.only(_section("Shares", segments, _SHARE))
    shares = {segment: section.require(Field(segment, _SHARE, ""), 0.0) for segment in segments}
    total = sum(shares.values())
    if len(fields.problems) == faults_before and abs(total - 1) > _TOLERANCE:
        fields.refuse("segment_shares", f"sum to {total:.6g}, must be 1")
    return {segment: share / (total or 1) for segment, share in shares.items()}


def _rates(fields: Fields, experiment: Experiment, shares: Mapping[str, float]) -> dict[str, dict[str, float]]:
    if "rates" in fields.values:
        for name in (_BASE_RATES.name, _UPLIFT.name):
            fields.refuse_given(name, rule="is said by `rates` already; give one or the other")
        rates = _given_rates(fields, experiment)
    else:
        rates = _lifted_rates(fields, experiment)
    # Who is not personalised is like everybody on average, unless something else is said.
    return {NO_PERSONALISATION: _on_average(experiment, rates, shares)} | rates


def _given_rates(fields: Fields, experiment: Experiment) -> dict[str, dict[str, float]]:
    section = fields.inner("rates")
    section.only(_section("Rates", experiment.segment_keys, _RATES.shape))
    for segment in _personal(experiment):
        if segment not in section.values:
            section.refuse(segment, "is required")
    return {segment: _rates_of(section, experiment, segment) for segment in _known(section, experiment)}


def _rates_of(section: Fields, experiment: Experiment, segment: str) -> dict[str, float]:
    row = section.inner(segment)
    arms = [arm.key for arm in experiment.open_arms(segment)]
    row.only(_section("Rates", arms, _SHARE))
    return {arm: row.require(Field(arm, _SHARE, ""), 0.0) for arm in arms}


def _lifted_rates(fields: Fields, experiment: Experiment) -> dict[str, dict[str, float]]:
    bases, uplifts = fields.inner("base_rates"), fields.inner("uplift")
    for section in (bases, uplifts):
        section.only(_section("Segments", experiment.segment_keys, _SHARE))
    told = {NO_PERSONALISATION} & (bases.values.keys() | uplifts.values.keys())
    return {
        segment: _lifted(uplifts, experiment, segment, base=bases.read(Field(segment, _SHARE, ""), BASE_RATE))
        for segment in (*_personal(experiment), *told)
    }


def _lifted(uplifts: Fields, experiment: Experiment, segment: str, *, base: float) -> dict[str, float]:
    row, arms = uplifts.inner(segment), experiment.open_arms(segment)
    row.only(_section("Uplift", (arm.key for arm in arms if arm != experiment.first_mass), _GAIN))
    gains = {arm.key: row.read(Field(arm.key, _GAIN, ""), UPLIFT[arm.role]) for arm in arms}
    return {arm: base * (1 + gain) for arm, gain in gains.items()}


def _known(section: Fields, experiment: Experiment) -> list[str]:
    return [segment for segment in experiment.segment_keys if segment in section.values]


def _on_average(
    experiment: Experiment, rates: Mapping[str, Mapping[str, float]], shares: Mapping[str, float]
) -> dict[str, float]:
    return {
        arm.key: sum(share * rates.get(segment, {}).get(arm.key, 0.0) for segment, share in shares.items())
        for arm in experiment.open_arms(NO_PERSONALISATION)
    }


def _values(fields: Fields, goal: Metric) -> Values:
    """A value is a tenth of its cap where nothing is said, and varies as much as it is large; a count is 1."""
    if goal.unit == "rate":
        fields.refuse_given("values", rule=f"are for a goal that counts or sums; this goal is a {goal.kind}")
        return Values()
    section = fields.inner("values")
    highest = float(goal.cap or MAX_CAP)
    if goal.property is None:
        mean = Field("mean", number(1, highest), "how often, of those who do it at all", default=1.0)
        section.only(Section("Values", (mean,)))
        return Values(section.read(mean))
    mean = Field("mean", above_zero(highest), "what a conversion is worth")
    sd = Field("sd", number(0, MAX_CAP), "how much that varies")
    section.only(Section("Values", (mean, sd)))
    found = section.read(mean, highest / 10)
    return Values(found, section.read(sd, found))


def _impossible_rates(assumptions: Assumptions, experiment: Experiment, *, days: int) -> list[Problem]:
    highest = float(assumptions.world(experiment).course(days).max())
    return [
        Problem(f"assumptions.rates.{segment}.{arm}", most, "is its highest rate then, must be at most 1")
        for segment, row in assumptions.rates.items()
        for arm, rate in row.items()
        if (most := rate * highest * assumptions.highest_lift(arm)) > 1
    ]
