"""Flags: evaluations as the OpenFeature Remote Evaluation Protocol writes them. Pure."""

from typing import Any

from experiments.assignment import Cause
from experiments.errors import InvalidContext
from experiments.evaluation import Evaluation

_REASON_BY_CAUSE: dict[Cause, str] = {
    "allocated": "SPLIT",
    "sticky": "SPLIT",
    "not_running": "DISABLED",
    "no_consent": "STATIC",
    "opted_out": "STATIC",
    "forced": "STATIC",
    "fallback": "UNKNOWN",
}


def flag(key: str, outcome: Evaluation | InvalidContext) -> dict[str, Any]:
    """What became of an experiment's evaluation."""
    if isinstance(outcome, InvalidContext):
        return failure(outcome.code, str(outcome), key=key)
    return success(key, outcome)


def success(key: str, evaluation: Evaluation) -> dict[str, Any]:
    """An experiment's arm and message for a visitor."""
    assignment = evaluation.assignment
    metadata = {
        "segment": assignment.segment,
        "role": evaluation.role,
        "propensity": assignment.propensity,
        "epoch": assignment.epoch,
        "cause": assignment.cause,
    }
    if evaluation.token is not None:
        metadata["token"] = evaluation.token
    return {
        "key": key,
        "reason": _REASON_BY_CAUSE[assignment.cause],
        "variant": assignment.arm,
        "value": evaluation.message,
        "metadata": metadata,
    }


def failure(code: str, detail: str, *, key: str | None) -> dict[str, Any]:
    """Why an experiment, or where the key is None the whole request, cannot be evaluated."""
    # Clients of some languages fail on an answer that lacks code or details, whatever the status.
    named = {} if key is None else {"key": key}
    return {**named, "errorCode": code, "errorDetails": detail}
