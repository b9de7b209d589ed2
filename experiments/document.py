"""The experiment document: JSON in, a validated experiment or every fault of it out."""

from collections.abc import Mapping
from collections.abc import Sequence
from copy import deepcopy
from typing import Any
from typing import TypedDict
from typing import get_args

from experiments.decision_impact import impact_faults
from experiments.errors import InvalidDocument
from experiments.errors import Problem
from experiments.model import Experiment
from experiments.model import Objective
from experiments.model import State
from experiments.privacy.special_categories import special_faults
from experiments.reading.arms import ARMS
from experiments.reading.arms import read_arms
from experiments.reading.attributes import ATTRIBUTES
from experiments.reading.attributes import read_attributes
from experiments.reading.consistency import inconsistencies
from experiments.reading.fields import Fields
from experiments.reading.frequency import FREQUENCY
from experiments.reading.frequency import read_frequency
from experiments.reading.metrics import METRICS
from experiments.reading.metrics import read_metrics
from experiments.reading.policy import KIND_PATH
from experiments.reading.policy import POLICY
from experiments.reading.policy import read_policy
from experiments.reading.segments import MAX_NAME
from experiments.reading.segments import SEGMENTS
from experiments.reading.segments import read_segments
from experiments.reading.shapes import Field
from experiments.reading.shapes import Section
from experiments.reading.soundness import unsound_values
from experiments.reading.values import currency_code
from experiments.reading.values import flag
from experiments.reading.values import key
from experiments.reading.values import line
from experiments.reading.values import number
from experiments.reading.values import one_of
from experiments.reading.values import paragraph
from experiments.reading.values import whole


class Standing(TypedDict):
    """What an answer adds to a document: state, newest epoch, whether weights are held, arms barred, and times."""

    state: State
    epoch: int | None
    frozen: bool
    barred: list[str]
    created_at: str
    started_at: str | None
    stopped_at: str | None


#: Tolerated in a document, so that what GET returned can be PUT back.
READ_ONLY_FIELDS = tuple(Standing.__annotations__)
MAX_AUDIENCE = 10**10
MAX_HYPOTHESIS = 2_000
MAX_OVERRIDE = 1_000
MAX_CONTROL_SHARE = 0.9
_OBJECTIVES: tuple[Objective, ...] = get_args(Objective)

_KEY = Field("key", key, "what addresses and events call the experiment by", is_required=True)
_NAME = Field("name", line(MAX_NAME), "a name for people; the key without one")
_HYPOTHESIS = Field("hypothesis", paragraph(MAX_HYPOTHESIS), "what is expected, and why", default="")
_OBJECTIVE = Field(
    "objective", one_of(_OBJECTIVES), "what decides: the goal's rate, its worth, or that less the cost of exposures",
    default=_OBJECTIVES[0],
)
_CONTROL_SHARE = Field(
    "control_share", number(0, MAX_CONTROL_SHARE), "the share of visitors that control arms get, held fixed", default=0
)
_AUDIENCE = Field("audience", whole(1, MAX_AUDIENCE), "how many visitors are planned, for break-even")
_CURRENCY = Field("currency", currency_code, "of all money here", default="EUR")
_LOCAL_EVALUATION = Field(
    "local_evaluation", flag, "whether public keys may fetch the payload that GrowthBook's SDKs evaluate", default=False
)
_DECISION_IMPACT = Field(
    "decision_impact", flag, "whether arms affect people legally or as much, as prices and credit do; then the policy"
    " must be fixed", default=False,
)
_DECISION_OVERRIDE = Field(
    "decision_override", paragraph(MAX_OVERRIDE), "why another policy may decide all the same; kept in the audit log"
)
DOCUMENT = Section(
    "ExperimentDocument",
    (
        _KEY, _NAME, _HYPOTHESIS, _OBJECTIVE, POLICY, _CONTROL_SHARE, ATTRIBUTES, _AUDIENCE,
        SEGMENTS, ARMS, METRICS, FREQUENCY, _CURRENCY, _LOCAL_EVALUATION,
        _DECISION_IMPACT, _DECISION_OVERRIDE,
    ),
)


def parse_stored(document: object) -> Experiment:
    """The experiment of a document that was saved: its policy may have been uninstalled since, which holds its weights.

    :raises InvalidDocument: if it cannot work for another reason.
    """
    return _parsed(document, may_lack=(KIND_PATH,))


def parse_document(document: object) -> Experiment:
    """The experiment that a JSON value describes; the value itself is left alone.

    :raises InvalidDocument: with every fault found, whatever the value. Values that nothing can keep
        (not finite, beyond 64 bits, half surrogate pairs, nested too deep) are reported alone and first;
        rules over several fields are left out where one of those fields is faulty itself.
    """
    return _parsed(document)


def _parsed(document: object, *, may_lack: Sequence[str] = ()) -> Experiment:
    problems = unsound_values(document)
    if not problems and not isinstance(document, dict):
        problems = [Problem("document", document, "must be an object")]
    if problems or not isinstance(document, dict):
        raise InvalidDocument(problems)
    experiment = read_sections(Fields(deepcopy(editable(document)), "", problems))
    problems = [one for one in problems if one.field not in may_lack]
    problems += list(inconsistencies(experiment, problems))
    if problems:
        raise InvalidDocument(problems)
    return experiment


def parse_document_to_save(document: object) -> Experiment:
    """The experiment of a document that is about to be saved: one that was saved before such rules is still read.

    :raises InvalidDocument: with every fault found, segments on special categories without a legal basis, and policies
        that decide what nobody may leave to them, among them.
    """
    experiment = parse_document(document)
    if problems := [*special_faults(experiment), *impact_faults(experiment)]:
        raise InvalidDocument(problems)
    return experiment


def editable(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document without the fields that only answers have."""
    return {name: value for name, value in document.items() if name not in READ_ONLY_FIELDS}


def read_sections(fields: Fields) -> Experiment:
    """The experiment of a document, section by section; what is wrong in single fields goes to their problems."""
    fields.only(DOCUMENT)
    experiment_key = fields.require(_KEY, "")
    currency = fields.read(_CURRENCY)
    return Experiment(
        key=experiment_key,
        name=fields.read(_NAME, experiment_key),
        hypothesis=fields.read(_HYPOTHESIS),
        objective=fields.read(_OBJECTIVE),
        policy=read_policy(fields),
        control_share=fields.read(_CONTROL_SHARE),
        attributes=read_attributes(fields),
        audience=fields.find(_AUDIENCE),
        segments=read_segments(fields),
        arms=read_arms(fields, currency),
        metrics=read_metrics(fields, currency),
        currency=currency,
        local_evaluation=fields.read(_LOCAL_EVALUATION),
        frequency=read_frequency(fields, currency),
        decision_impact=fields.read(_DECISION_IMPACT),
        decision_override=fields.find(_DECISION_OVERRIDE),
    )
