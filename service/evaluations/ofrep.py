"""Evaluation by the OpenFeature Remote Evaluation Protocol (OFREP 0.3.0): a flag is an experiment, a variant an arm."""

import re
from typing import Any

from flask import Blueprint
from flask import Response
from flask import request
from msgspec import Raw
from werkzeug.exceptions import HTTPException

from experiments.errors import BespokeError
from experiments.errors import InvalidContext
from experiments.errors import UnknownExperiment
from experiments.errors import shown
from experiments.evaluation import Evaluation
from experiments.evaluation import evaluate
from experiments.evaluation import evaluate_all
from service.auth import requires
from service.current import current_installation
from service.current import current_key
from service.errors import Refused
from service.errors import refusal
from service.errors import retry_later
from service.errors import status_of
from service.evaluations.flags import failure
from service.evaluations.flags import flag
from service.evaluations.flags import written
from service.evaluations.ofrep_shapes import EVALUATION
from service.evaluations.ofrep_shapes import Evaluated
from service.evaluations.ofrep_shapes import EvaluationRequest
from service.evaluations.ofrep_shapes import FAILURES
from service.evaluations.ofrep_shapes import Flags
from service.evaluations.ofrep_shapes import SILENT
from service.installation import Installation
from service.reference.operations import Answer
from service.reference.operations import Example
from service.reference.operations import Parameter
from service.reference.operations import TEXT
from service.reference.operations import describes
from service.requests.answers import json_answer
from service.requests.asked import Asked
from service.requests.asked import Lane
from service.requests.bodies import read_object
from service.requests.preferences import objects_to_tracking

bp = Blueprint("ofrep", __name__, url_prefix="/ofrep/v1")

_MOMENT = re.compile(r"[0-9]+|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:]{8}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")


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
    asked = Asked(key, read_object(), current_key(), objects_to_tracking())
    return json_answer(evaluated(current_installation(), asked))


def evaluated(installation: Installation, asked: Asked) -> Raw:
    """What one experiment, the one that the address names, has for one visitor."""
    evaluation = evaluate(
        installation.store,
        installation.snapshots.latest,
        asked.name,
        context=_context(asked.body),
        asking=installation.asking(objects=asked.objects),
        keyring=installation.keyring,
    )
    installation.tallies.evaluated(asked.name, evaluation.assignment)
    return written(asked.name, evaluation)


#: What the express lane does by the address up to its last part.
LANES: dict[tuple[str, str], Lane] = {("POST", "/ofrep/v1/evaluate/flags/"): evaluated}


@bp.post("/evaluate/flags")
@requires("client")
@describes(
    body=EvaluationRequest,
    answers={200: Answer(Flags, headers={"ETag": "changes with the body"}), 304: Answer(None)},
    failures=FAILURES,
    query={
        "flagConfigEtag": Parameter(TEXT, "of a notice of a change; changes nothing"),
        "flagConfigLastModified": Parameter(TEXT, "of a notice of a change: seconds since 1970, or ISO 8601"),
    },
    headers={"If-None-Match": Parameter(TEXT, "the ETag of the flags that are known; 304 while they are the same")},
    example=Example(path={}, body=EVALUATION),
)
def evaluate_flags() -> Response:
    """Evaluate every experiment that answers for one visitor, or say that nothing has changed."""
    _check_notice()
    installation = current_installation()
    outcomes = evaluate_all(
        installation.store,
        installation.snapshots.latest,
        context=_context(read_object()),
        asking=installation.asking(objects=objects_to_tracking()),
        keyring=installation.keyring,
    )
    for key, outcome in outcomes.items():
        if isinstance(outcome, Evaluation):
            installation.tallies.evaluated(key, outcome.assignment)
    return _unless_known(json_answer({"flags": [flag(key, outcome) for key, outcome in outcomes.items()]}))


def _context(body: dict[str, Any]) -> dict[str, Any]:
    context = body.get("context")
    if not isinstance(context, dict):
        raise InvalidContext("INVALID_CONTEXT", f"context: {shown(context)} must be an object")
    return context


def _check_notice() -> None:
    """Refuse what no notice of a change can have held; what one did hold changes nothing, since nothing is cached."""
    modified = request.args.get("flagConfigLastModified")
    if modified is not None and not _MOMENT.fullmatch(modified):
        rule = "must be seconds since 1970 or an ISO 8601 time with its offset"
        raise InvalidContext("GENERAL", f"flagConfigLastModified: {shown(modified)} {rule}")


def _unless_known(response: Response) -> Response:
    """The response, tagged by its body; where the client has that body, the tag alone."""
    response.add_etag()
    tag, _ = response.get_etag()
    if not request.if_none_match.contains_weak(tag or ""):
        return response
    return Response(status=304, headers={"ETag": response.headers["ETag"]})


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
    if status in SILENT:
        return Response(status=status)
    # A body of another kind or encoding is to the protocol one that cannot be parsed.
    return _failure(400 if status == 415 else status, "PARSE_ERROR", detail)


@bp.errorhandler(HTTPException)
def _http(error: HTTPException) -> Response:
    status, _, detail = refusal(error)
    return _failure(status, "GENERAL", detail)


def _failure(status: int, code: str, detail: str) -> Response:
    return json_answer(failure(code, detail, key=(request.view_args or {}).get("key")), status=status)
