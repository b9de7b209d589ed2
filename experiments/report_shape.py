"""The report's shape: what each of its objects holds. Rows of small cells hold null where figures would be."""

from typing import Literal
from typing import NotRequired
from typing import TypedDict

from experiments.metric_kinds import MetricKind
from experiments.model import Objective
from experiments.model import Policy
from experiments.model import Role
from experiments.model import State

Call = Literal["tailor", "mass", "keep_testing", "none"]


class Interval(TypedDict):
    """A mean and its 95 % interval."""

    mean: float | None
    low: float | None
    high: float | None


class Uplift(Interval):
    """A difference per visitor, and the chance that it is above 0."""

    probability: float | None


class Rank(TypedDict):
    """How an arm stands among those that it competes with; null for controls."""

    probability_best: float | None
    expected_loss: float | None


class PosteriorShape(TypedDict):
    """What is believed of a mean: a rate by `alpha` and `beta`, any other by `mean` and `sd`."""

    kind: Literal["beta", "normal"]
    alpha: NotRequired[float]
    beta: NotRequired[float]
    mean: NotRequired[float]
    sd: NotRequired[float]


class MetricFigures(Interval, Rank):
    """One metric of an arm; `posterior` is what its mean and its interval are of."""

    visitors: int | None
    sum: int | float | None
    posterior: PosteriorShape | None
    uplift_over_mass: Uplift | None
    uplift_over_control: Uplift | None


class Economics(TypedDict):
    """What an arm cost and earned; null where the goal has no worth in money, or nothing was spent."""

    cost: float | None
    value: float | None
    profit_per_visitor: float | None
    cost_per_conversion: float | None
    roi: float | None
    reach: int | None
    frequency: float | None


class ArmRow(TypedDict):
    """An arm in a segment, or over all segments where that is null."""

    segment: str | None
    arm: str
    role: Role
    visitors: int | None
    exposures: int | None
    weight: float | None
    metrics: dict[str, MetricFigures]
    economics: Economics
    suppressed: bool


class AfterFixedCost(TypedDict):
    """What fixed costs leave of an arm's return."""

    fixed_cost: float | None
    roi_after_fixed: float | None
    break_even_visitors: float | None
    break_even_probability: float | None


class TotalRow(ArmRow, AfterFixedCost):
    """An arm over all segments open to it."""


class SegmentVerdict(TypedDict):
    """The call on a segment: its arm, against which one, how sure, and what it gains per visitor."""

    segment: str
    call: Call
    arm: str
    against: str | None
    probability: float | None
    gain: Interval | None
    share_of_visitors: float | None


class Tailoring(TypedDict):
    """What tailoring adds, with the rest on the one message: per visitor, and over the whole planned audience."""

    gain_per_visitor: Interval | None
    gain_over_audience: Interval | None
    probability: float | None


class Verdict(TypedDict):
    """For whom tailoring pays."""

    headline: str
    segments: list[SegmentVerdict]
    tailoring: Tailoring


class SavedByDay(Interval):
    """What had been saved when a day (UTC) was over."""

    day: str


class Savings(TypedDict):
    """What moving traffic has earned so far over an even split, in the objective's unit, in these segments.

    Segments of which a candidate's row is hidden are left out, and days on which too few visitors came are told with
    the next.
    """

    total: Interval | None
    days: list[SavedByDay]
    segments: list[str]


class Guardrail(TypedDict):
    """A guardrail in an arm, over all segments; a barred arm has lost its traffic to the mass arm by it."""

    metric: str
    arm: str
    limit: float | None
    direction: Literal["increase", "decrease"]
    mean: float | None
    breached: bool
    barred: bool


class SampleRatio(TypedDict):
    """Visitors against weights."""

    p_value: float | None
    alarm: bool


class ConsentShares(TypedDict):
    """The shares of evaluations by consent, null while there are few; who has opted out is among `none`.

    `mass_when_measured` is by how much the mass arm's goal differs, per visitor, between those who are measured only
    and those who consent to personalisation: null where too little is known.
    """

    personalise: float | None
    measure: float | None
    none: float | None
    mass_when_measured: Interval | None


class LostSpool(TypedDict):
    """Since when what one process had accepted may not be counted, and when somebody accepted that."""

    since: str
    accepted: str


class Diagnostics(TypedDict):
    """Whether the figures may be believed; `alarm` is why the service holds the weights, `refused` why the
    policy's were not taken; null where neither is so."""

    alarm: str | None
    refused: str | None
    sample_ratio: SampleRatio
    matured_share: float | None
    waiting: int
    orphans: int
    duplicates: int
    rejected: int
    asserted: int
    consent: NotRequired[ConsentShares]
    complete: bool
    lost_spools: list[LostSpool]
    intervals_valid: bool
    notes: list[str]


class Information(TypedDict):
    """How much of a comparison with the mass arm rests on some epochs."""

    segment: str
    arm: str
    first_epoch: int
    last_epoch: int
    share: float


class Method(TypedDict):
    """Enough to compute the figures again."""

    interval: float
    prior: str
    maturity: str
    code: str
    policy: Policy
    epochs: int
    information: list[Information]
    strata: str
    estimator: str
    min_cell: int


class Goal(TypedDict):
    """The metric that decides."""

    key: str
    kind: MetricKind


class Report(TypedDict):
    """For whom tailoring pays, and what that rests on."""

    experiment: str
    name: str
    as_of: str
    watermark: str | None
    state: State
    epoch: int | None
    objective: Objective
    goal: Goal
    currency: str
    audience: int | None
    verdict: Verdict
    savings: Savings
    arms: list[ArmRow]
    totals: list[TotalRow]
    naive: list[ArmRow]
    guardrails: list[Guardrail]
    diagnostics: Diagnostics
    method: Method
