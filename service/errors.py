"""Errors as RFC 9457 problems: what was wrong, in a stable code and one sentence; never HTML, never a trace."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from typing import NotRequired
from typing import TypedDict

import msgspec
from flask import Flask
from flask import Response
from werkzeug.exceptions import HTTPException

from experiments.errors import BespokeError
from experiments.errors import ExperimentExists
from experiments.errors import FrozenDocument
from experiments.errors import IdempotencyKeyReused
from experiments.errors import InvalidContext
from experiments.errors import InvalidDocument
from experiments.errors import InvalidReason
from experiments.errors import InvalidReview
from experiments.errors import InvalidSignature
from experiments.errors import InvalidTransition
from experiments.errors import InvalidUser
from experiments.errors import LastAdmin
from experiments.errors import MissingExtra
from experiments.errors import NothingToDiscover
from experiments.errors import RejectedEvent
from experiments.errors import StorageBusy
from experiments.errors import StorageError
from experiments.errors import StorageFull
from experiments.errors import UnansweredPast
from experiments.errors import UnknownExperiment
from experiments.errors import UnknownKey
from experiments.errors import UnknownProposal
from experiments.errors import UnknownSegment
from experiments.errors import UnknownUser
from experiments.errors import UserExists
from experiments.errors import VerdictChanged
from experiments.errors import WrongLogin
from experiments.errors import shown
from experiments.plugin_errors import PolicyRefused
from service.requests.answers import json_answer

PROBLEM = "application/problem+json"

#: 400 is for what cannot be read, 422 for what can be read and breaks a rule, 409 for what the present state forbids.
STATUS_BY_ERROR: dict[type[BespokeError], int] = {
    InvalidDocument: 422,
    UnknownExperiment: 404,
    UnknownProposal: 404,
    ExperimentExists: 409,
    InvalidTransition: 409,
    FrozenDocument: 409,
    VerdictChanged: 409,
    UnansweredPast: 409,
    NothingToDiscover: 409,
    MissingExtra: 409,
    PolicyRefused: 409,
    InvalidReason: 422,
    UnknownSegment: 404,
    InvalidReview: 422,
    IdempotencyKeyReused: 422,
    InvalidContext: 400,
    InvalidUser: 422,
    UserExists: 409,
    UnknownUser: 404,
    LastAdmin: 409,
    UnknownKey: 404,
    WrongLogin: 403,
    RejectedEvent: 422,
    InvalidSignature: 403,
    StorageBusy: 503,
    StorageFull: 507,
    StorageError: 503,
}
_RETRY_AFTER_SECONDS = {503: "1", 507: "60"}
_LONGEST_VALUE = 200

#: Codes and sentences of the refusals that the framework makes.
_CODE_AND_DETAIL = {
    400: ("bad_request", "the request cannot be read"),
    404: ("not_found", "there is nothing at this address"),
    405: ("method_not_allowed", "this address knows other methods only, those of Allow"),
    413: ("body_too_large", "the body is larger than the server takes"),
}


class Fault(TypedDict):
    """One thing wrong with a document: where, what was found, and the rule that it breaks."""

    field: str
    value: Any
    rule: str


class Problem(TypedDict):
    """An error: `code` is stable, `detail` names the value and the rule; a document's faults stand in `problems`.

    `message` is `detail` once more, under the name that Segment's clients read: RudderStack's takes a refusal without
    it for a lost connection.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    message: str
    problems: NotRequired[list[Fault]]


class Refused(HTTPException):
    """A request refused: an HTTP status, a stable code, and the rule; `extra` are further members of the problem."""

    def __init__(
        self, status: int, stable_code: str, detail: str, *, extra: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail)
        self.code = status
        self.stable_code = stable_code
        self.extra = extra


def status_of(error: BespokeError | type[BespokeError]) -> int:
    """The HTTP status of an error or of a kind of error, by its nearest class that has one."""
    kinds = error.__mro__ if isinstance(error, type) else type(error).__mro__
    return next((STATUS_BY_ERROR[kind] for kind in kinds if kind in STATUS_BY_ERROR), 500)


def problem(status: int, code: str, detail: str, extra: Mapping[str, Any] | None = None) -> Response:
    """The response that tells a problem; `extra` adds members to it."""
    body: Problem = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "message": detail,
        "code": code,
    }
    return retry_later(json_answer({**body, **(extra or {})}, status=status, kind=PROBLEM))


def retry_later(response: Response) -> Response:
    """The response, saying when to try again where that may help."""
    if response.status_code in _RETRY_AFTER_SECONDS:
        response.headers["Retry-After"] = _RETRY_AFTER_SECONDS[response.status_code]
    return response


def init_app(app: Flask) -> None:
    """Answer every error with a problem."""
    app.register_error_handler(BespokeError, _bespoke)
    app.register_error_handler(HTTPException, _http)


def _bespoke(error: BespokeError) -> Response:
    extra = {"problems": _problems(error)} if isinstance(error, InvalidDocument) else None
    return problem(status_of(error), error.code, str(error), extra)


def _problems(error: InvalidDocument) -> list[Fault]:
    return [{"field": one.field, "value": _plain(one.value), "rule": one.rule} for one in error.problems]


def _plain(value: object) -> Any:
    """The value itself where it is short JSON, else the beginning of its text."""
    try:
        text = msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return shown(value)
    return msgspec.Raw(text) if len(text) <= _LONGEST_VALUE else shown(value)


def _http(error: HTTPException) -> Response:
    status, code, detail = refusal(error)
    response = problem(status, code, detail, getattr(error, "extra", None))
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def refusal(error: HTTPException) -> tuple[int, str, str]:
    """Status, stable code and sentence of a refusal, ours or the framework's."""
    status = error.code or 500
    if isinstance(error, Refused):
        return status, error.stable_code, error.description or ""
    if status >= 500:
        # The cause is in the log; it may hold what a stranger should not read.
        return status, "internal_error", "something went wrong here; it has been logged"
    phrase = HTTPStatus(status).phrase
    return status, *_CODE_AND_DETAIL.get(status, (phrase.lower().replace(" ", "_"), phrase))
