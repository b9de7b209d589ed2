"""The experiment as the rest of the house sees it: frozen values, already validated.

`experiments.document` makes these from a JSON document; nothing else constructs them in production.
Durations are whole seconds, money is in the experiment's currency as `Decimal`.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from decimal import Decimal
from functools import cached_property
from typing import Any
from typing import Literal

from experiments.metric_kinds import METRIC_KINDS
from experiments.metric_kinds import MetricKind
from experiments.metric_kinds import MetricUnit

AttributeType = Literal["string", "number", "boolean", "version", "list"]
Role = Literal["control", "mass", "tailored"]
State = Literal["draft", "running", "paused", "stopped", "archived"]
Objective = Literal["conversion", "revenue", "profit"]
MetricRole = Literal["goal", "secondary", "guardrail"]

#: The segment of everybody whom no rule matched, and of everybody who consented to measurement only.
EVERYONE_ELSE = "everyone-else"
NO_PERSONALISATION = "no-personalisation"

#: States in which an experiment answers evaluations and counts outcomes.
LIVE_STATES: tuple[State, ...] = ("running", "paused", "stopped")


@dataclass(frozen=True)
class Attribute:
    """A declared attribute; `store` keeps it for discovery, in `bands` or by its first `prefix` characters.

    `special` says whether it is of a special category of personal data; None leaves that to its name.
    """

    type: AttributeType
    store: bool = False
    bands: tuple[Any, ...] = ()
    prefix: int | None = None
    special: bool | None = None


@dataclass(frozen=True)
class Policy:
    """What makes an allocation: the kind, how often, and its limits (shares are fractions of 1).

    A `maturity` of None corrects by the delay curve as soon as there is one.
    `half_life_seconds` is the age at which what a visitor says counts half; None where nothing is forgotten.
    `parameters` are those of a kind that another package brings.
    """

    kind: str = "fixed"
    every_seconds: int = 3600
    min_share: float = 0.05
    burn_in: int = 100
    burn_in_conversions: int = 10
    max_step: float = 0.25
    maturity: Literal["observed", "corrected", "matured"] | None = None
    shares: Mapping[str, float] | None = None
    epsilon: float = 0.1
    half_life_seconds: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Segment:
    """A rule that says who belongs; the first segment whose rule holds wins.

    `special` says whether it is of a special category of personal data; None leaves that to its words.
    """

    key: str
    name: str
    kind: str
    rule: Mapping[str, Any]
    review_by: str | None = None
    special: bool | None = None
    legal_basis: str | None = None


@dataclass(frozen=True)
class Tier:
    """From the `start`-th exposure of an arm on, one exposure costs `cost`."""

    start: int
    cost: Decimal


@dataclass(frozen=True)
class Arm:
    """One thing that can be shown; a tailored arm is open only to its `segments`."""

    key: str
    role: Role
    segments: tuple[str, ...] = ()
    channel: str | None = None
    message: Mapping[str, Any] | None = None
    tiers: tuple[Tier, ...] = (Tier(0, Decimal(0)),)
    fixed_cost: Decimal = Decimal(0)

    def is_open_to(self, segment: str) -> bool:
        """Whether visitors of this segment may be given the arm."""
        return self.role != "tailored" or segment in self.segments


@dataclass(frozen=True)
class Metric:
    """What is counted per visitor, from which event, inside which part of the window."""

    key: str
    event: str
    kind: MetricKind
    role: MetricRole
    window_seconds: int
    from_seconds: int = 0
    property: str | None = None
    cap: Decimal | None = None
    value: Decimal | None = None
    direction: Literal["increase", "decrease"] = "increase"
    source: Literal["any", "server"] = "any"
    limit: float | None = None

    @cached_property
    def unit(self) -> MetricUnit:
        """What a visitor's total is."""
        return METRIC_KINDS[self.kind].unit

    @cached_property
    def worth(self) -> Decimal | None:
        """What one of it is worth: 1 where it is money itself, None where no `value` is given."""
        return Decimal(1) if self.unit == "money" else self.value


@dataclass(frozen=True)
class Frequency:
    """How often a visitor may be exposed in a span: at most the one cap, or that of the caps that is drawn for each.

    `costs` are by metric what reaching it takes from a visitor's worth.
    """

    caps: tuple[int, ...]
    per_seconds: int
    costs: Mapping[str, Decimal]


_ROLE_ORDER: dict[Role, int] = {"control": 0, "mass": 1, "tailored": 2}


@dataclass(frozen=True)
class Experiment:
    """A validated experiment document.

    `decision_impact` says that arms affect people legally or as much; `decision_override` why a policy may decide.
    """

    key: str
    name: str
    hypothesis: str
    objective: Objective
    policy: Policy
    control_share: float
    attributes: Mapping[str, Attribute]
    audience: int | None
    segments: tuple[Segment, ...]
    arms: tuple[Arm, ...]
    metrics: tuple[Metric, ...]
    currency: str
    local_evaluation: bool
    frequency: Frequency | None = None
    decision_impact: bool = False
    decision_override: str | None = None

    @cached_property
    def segment_keys(self) -> tuple[str, ...]:
        """Every segment a visitor can be in, the two reserved ones last."""
        return (*(segment.key for segment in self.segments), EVERYONE_ELSE, NO_PERSONALISATION)

    @cached_property
    def is_contextual(self) -> bool:
        """Whether weights may differ between visitors of one segment, by what is stored of them."""
        return self.policy.kind == "contextual_thompson"

    @cached_property
    def attribute_types(self) -> dict[str, AttributeType]:
        """The declared types by the attributes' names."""
        return {name: attribute.type for name, attribute in self.attributes.items()}

    @cached_property
    def arm_by_key(self) -> dict[str, Arm]:
        """Arms by key, in the document's order."""
        return {arm.key: arm for arm in self.arms}

    @cached_property
    def first_mass(self) -> Arm:
        """The arm that everybody gets when nothing may be decided, and the reference of gains."""
        return next(arm for arm in self.arms if arm.role == "mass")

    @cached_property
    def goal(self) -> Metric:
        """The one metric that decides."""
        return next(metric for metric in self.metrics if metric.role == "goal")

    @cached_property
    def metrics_by_event(self) -> dict[str, tuple[Metric, ...]]:
        """The metrics that an event name feeds."""
        names = dict.fromkeys(metric.event for metric in self.metrics)
        return {name: tuple(metric for metric in self.metrics if metric.event == name) for name in names}

    @cached_property
    def drawn_arms(self) -> tuple[Arm, ...]:
        """All arms in the order of the draw: control, mass, tailored."""
        return tuple(sorted(self.arms, key=lambda arm: _ROLE_ORDER[arm.role]))

    @cached_property
    def _open_arms(self) -> dict[str, tuple[Arm, ...]]:
        return {
            segment: tuple(arm for arm in self.drawn_arms if arm.is_open_to(segment)) for segment in self.segment_keys
        }

    def open_arms(self, segment: str) -> tuple[Arm, ...]:
        """The arms open to a segment, in the order of the draw."""
        return self._open_arms[segment]

    def candidates(self, segment: str) -> tuple[Arm, ...]:
        """The open arms that compete for traffic: all but controls, whose share is fixed."""
        return tuple(arm for arm in self.open_arms(segment) if arm.role != "control")

    def controls(self) -> Iterator[Arm]:
        """The arms that show nothing, in the document's order."""
        return (arm for arm in self.arms if arm.role == "control")


@dataclass(frozen=True)
class Allocation:
    """One epoch: the weight of every open arm in every segment, in ten-thousandths that sum to 10,000.

    `contexts` has those of visitors whose context has its own, by segment and context.
    """

    epoch: int
    weights: Mapping[str, dict[str, int]]
    contexts: Mapping[str, Mapping[str, dict[str, int]]] = field(default_factory=dict)

    def of(self, segment: str, context: str | None) -> dict[str, int]:
        """The weights for a visitor of a segment with this context."""
        by_context = self.contexts.get(segment)
        return by_context and context and by_context.get(context) or self.weights[segment]


@dataclass(frozen=True)
class Exposure:
    """What a visitor was first exposed to in an experiment, fixed for good; `weight` in ten-thousandths."""

    arm: str
    segment: str
    epoch: int
    weight: int


@dataclass(frozen=True)
class StoredExperiment:
    """An experiment with its document as written, its state and its place in time (ms since 1970, UTC)."""

    experiment: Experiment
    document: Mapping[str, Any]
    state: State
    created_ms: int
    started_ms: int | None = None
    stopped_ms: int | None = None

    @property
    def is_live(self) -> bool:
        """Whether evaluations are answered and outcomes counted."""
        return self.state in LIVE_STATES
