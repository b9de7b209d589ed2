"""Flags: evaluations as the OpenFeature Remote Evaluation Protocol writes them. Pure."""

from functools import lru_cache
from typing import cast

from msgspec import Raw
from msgspec.json import encode

from experiments.assignment import Assignment
from experiments.assignment import Cause
from experiments.errors import InvalidContext
from experiments.errors import NotLookedUp
from experiments.evaluation import Evaluation
from experiments.model import Role
from service.evaluations.ofrep_shapes import ErrorCode
from service.evaluations.ofrep_shapes import Evaluated
from service.evaluations.ofrep_shapes import Failed
from service.evaluations.ofrep_shapes import Metadata
from service.evaluations.ofrep_shapes import Reason

_REASON_BY_CAUSE: dict[Cause, Reason] = {
    "allocated": "SPLIT",
    "sticky": "SPLIT",
    "not_running": "DISABLED",
    "no_consent": "STATIC",
    "opted_out": "STATIC",
    "forced": "STATIC",
    "fallback": "UNKNOWN",
}


def flag(key: str, outcome: Evaluation | InvalidContext | NotLookedUp) -> Evaluated | Failed:
    """What became of an experiment's evaluation."""
    if isinstance(outcome, InvalidContext):
        return failure(outcome.code, str(outcome), key=key)
    if isinstance(outcome, NotLookedUp):
        return failure("GENERAL", str(outcome), key=key)
    return success(key, outcome)


def success(key: str, evaluation: Evaluation) -> Evaluated:
    """An experiment's arm and message for a visitor."""
    assignment = evaluation.assignment
    metadata: Metadata = {
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


def written(key: str, evaluation: Evaluation) -> Raw:
    """What `success` gives, as JSON, put together of parts that many visitors have in common."""
    before, after = _parts(key, evaluation.assignment, evaluation.role)
    token = b"" if evaluation.token is None else b',"token":"%b"' % evaluation.token.encode()
    return Raw(b"%b%b%b%b}}" % (before, encode(evaluation.message), after, token))


@lru_cache(maxsize=1 << 12)
def _parts(key: str, assignment: Assignment, role: Role) -> tuple[bytes, bytes]:
    """What stands before the message, and between it and the token; no key has a brace."""
    before, _, after = encode(success(key, Evaluation(assignment, role, {}, None))).partition(b"{}")
    return before, after.removesuffix(b"}}")


def failure(code: str, detail: str, *, key: str | None) -> Failed:
    """Why an experiment, or where the key is None the whole request, cannot be evaluated."""
    # Clients of some languages fail on an answer that lacks code or details, whatever the status.
    failed: Failed = {"errorCode": cast(ErrorCode, code), "errorDetails": detail}
    return failed if key is None else {"key": key, **failed}
