"""Evaluation by the OpenFeature Remote Evaluation Protocol (OFREP 0.3.0): a flag is an experiment, a variant an arm."""

from typing import Any

from flask import Blueprint
from flask import Response
from flask import request
from werkzeug.exceptions import HTTPException

from experiments.assignment import Cause
from experiments.errors import BespokeError
from experiments.errors import InvalidContext
from experiments.errors import UnknownExperiment
from experiments.errors import shown
from experiments.evaluation import Asking
from experiments.evaluation import Evaluation
from experiments.evaluation import evaluate
from service.answers import json_answer
from service.auth import requires
from service.bodies import read_object
from service.current import current_installation
from service.errors import Refused
from service.errors import refusal
from service.errors import retry_later
from service.errors import status_of
from service.ofrep_shapes import EVALUATION
from service.ofrep_shapes import FAILURES
from service.ofrep_shapes import Evaluated
from service.ofrep_shapes import EvaluationRequest
from service.ofrep_shapes import Metadata
from service.ofrep_shapes import Reason
from service.operations import Example
from service.operations import describes
from service.preferences import objects_to_tracking

bp = Blueprint("ofrep", __name__, url_prefix="/ofrep/v1")

_REASON_BY_CAUSE: dict[Cause, Reason] = {
    "allocated": "SPLIT",
    "sticky": "SPLIT",
    "not_running": "DISABLED",
    "no_consent": "STATIC",
    "opted_out": "STATIC",
    "forced": "STATIC",
    "fallback": "UNKNOWN",
}


@bp.post("/evaluate/flags/<path:key>")
@requires("client")
@describes(
    body=EvaluationRequest,
    answers={200: Evaluated},
    refuses=(UnknownExperiment,),
    failures=FAILURES,
    example=Example(body=EVALUATION),
)
def evaluate_flag(key: str) -> Response:
    """Evaluate one experiment for one visitor."""
    installation = current_installation()
    evaluation = evaluate(
        installation.store,
        installation.snapshots.latest,
        key,
        context=_context(read_object()),
        asking=_asking(),
        keyring=installation.keyring,
    )
    return json_answer(_success(key, evaluation))


def _context(body: dict[str, Any]) -> dict[str, Any]:
    context = body.get("context")
    if not isinstance(context, dict):
        raise InvalidContext("INVALID_CONTEXT", f"context: {shown(context)} must be an object")
    return context


def _asking() -> Asking:
    installation = current_installation()
    config = installation.config
    return Asking(
        installation.clock.now_ms(), config.consent_default, config.token_lifetime_seconds, objects_to_tracking()
    )


def _success(key: str, evaluation: Evaluation) -> Evaluated:
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


@bp.errorhandler(UnknownExperiment)
def _unknown(error: UnknownExperiment) -> Response:
    return _failure(404, "FLAG_NOT_FOUND", str(error))


@bp.errorhandler(InvalidContext)
def _invalid_context(error: InvalidContext) -> Response:
    return _failure(400, error.code, str(error))


@bp.errorhandler(BespokeError)
def _unavailable(error: BespokeError) -> Response:
    return retry_later(_failure(status_of(error), "GENERAL", str(error)))


@bp.errorhandler(Refused)
def _refused(error: Refused) -> Response:
    status, _, detail = refusal(error)
    if status in (401, 403):
        return Response(status=status)
    return _failure(status, "PARSE_ERROR", detail)


@bp.errorhandler(HTTPException)
def _http(error: HTTPException) -> Response:
    status, _, detail = refusal(error)
    return _failure(status, "GENERAL", detail)


def _failure(status: int, code: str, detail: str) -> Response:
    # Clients of some languages fail on an answer that lacks one of the three.
    key = (request.view_args or {}).get("key", "")
    return json_answer({"key": key, "errorCode": code, "errorDetails": detail}, status=status)
