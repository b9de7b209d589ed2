"""The experiment document: JSON in, a validated experiment or every fault of it out."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any
from typing import get_args

from experiments.errors import InvalidDocument
from experiments.errors import Problem
from experiments.model import Experiment
from experiments.model import Objective
from experiments.reading.arms import read_arms
from experiments.reading.attributes import read_attributes
from experiments.reading.consistency import inconsistencies
from experiments.reading.fields import Fields
from experiments.reading.metrics import read_metrics
from experiments.reading.policy import read_policy
from experiments.reading.segments import MAX_NAME
from experiments.reading.segments import read_segments
from experiments.reading.soundness import unsound_values
from experiments.reading.values import currency_code
from experiments.reading.values import flag
from experiments.reading.values import key
from experiments.reading.values import line
from experiments.reading.values import number
from experiments.reading.values import one_of
from experiments.reading.values import paragraph
from experiments.reading.values import whole

#: What an answer adds to a document; tolerated, so that what GET returned can be PUT back.
READ_ONLY_FIELDS = ("state", "epoch", "created_at", "started_at", "stopped_at")
FIELDS = (
    "key", "name", "hypothesis", "objective", "policy", "control_share", "attributes", "audience",
    "segments", "arms", "metrics", "currency", "local_evaluation",
)
DEFAULT_CURRENCY = "EUR"
MAX_AUDIENCE = 10**10
MAX_HYPOTHESIS = 2_000
MAX_CONTROL_SHARE = 0.9
_OBJECTIVES: tuple[Objective, ...] = get_args(Objective)


def parse_document(document: object) -> Experiment:
    """The experiment that a JSON value describes; the value itself is left alone.

    :raises InvalidDocument: with every fault found, whatever the value. Values that nothing can keep
        (not finite, beyond 64 bits, half surrogate pairs, nested too deep) are reported alone and first;
        rules over several fields are left out where one of those fields is faulty itself.
    """
    problems = unsound_values(document)
    if not problems and not isinstance(document, dict):
        problems = [Problem("document", document, "must be an object")]
    if problems or not isinstance(document, dict):
        raise InvalidDocument(problems)
    experiment = _read(Fields(deepcopy(editable(document)), "", problems))
    problems += list(inconsistencies(experiment, problems))
    if problems:
        raise InvalidDocument(problems)
    return experiment


def editable(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document without the fields that only answers have."""
    return {name: value for name, value in document.items() if name not in READ_ONLY_FIELDS}


def _read(fields: Fields) -> Experiment:
    fields.only(*FIELDS)
    experiment_key = fields.require("key", key, "")
    currency = fields.read("currency", currency_code, DEFAULT_CURRENCY)
    return Experiment(
        key=experiment_key,
        name=fields.read("name", line(MAX_NAME), experiment_key),
        hypothesis=fields.read("hypothesis", paragraph(MAX_HYPOTHESIS), ""),
        objective=fields.read("objective", one_of(_OBJECTIVES), _OBJECTIVES[0]),
        policy=read_policy(fields),
        control_share=fields.read("control_share", number(0, MAX_CONTROL_SHARE), 0.0),
        attributes=read_attributes(fields),
        audience=fields.read("audience", whole(1, MAX_AUDIENCE), None),
        segments=read_segments(fields),
        arms=read_arms(fields, currency),
        metrics=read_metrics(fields, currency),
        currency=currency,
        local_evaluation=fields.read("local_evaluation", flag, False),
    )
