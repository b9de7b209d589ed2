"""The shapes of OFREP 0.3.0: what an evaluation asks for, and what it is answered."""

from typing import Annotated
from typing import Any
from typing import Literal
from typing import NotRequired
from typing import TypedDict

from msgspec import Meta

from experiments.assignment import Cause
from experiments.assignment import Consent
from experiments.event_shape import Id
from experiments.model import Role
from service.reference.operations import Failures

Reason = Literal["STATIC", "TARGETING_MATCH", "SPLIT", "DISABLED", "UNKNOWN"]
ErrorCode = Literal["PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT", "FLAG_NOT_FOUND", "GENERAL"]


class Context(TypedDict):
    """The visitor, and declared attributes by name; everything else that is sent is dropped."""

    targetingKey: Annotated[Id, Meta(description="the visitor's id, byte for byte")]
    consent: NotRequired[Annotated[Consent | None, Meta(description="what the visitor consents to")]]
    token: NotRequired[Annotated[str | None, Meta(description="of an earlier evaluation, so that its arm is kept")]]


class EvaluationRequest(TypedDict):
    """For whom to evaluate."""

    context: Context


class Metadata(TypedDict):
    """Why this arm; the token makes an exposure, where one may follow."""

    segment: str
    role: Role
    propensity: float
    epoch: int
    cause: Cause
    token: NotRequired[str]


class Evaluated(TypedDict):
    """The arm of a visitor, as OFREP's variant, and its rendered message as the value."""

    key: str
    reason: Reason
    variant: str
    value: dict[str, Any]
    metadata: Metadata


class Failed(TypedDict):
    """Why there is no evaluation; the key of the experiment, if one was asked for."""

    key: NotRequired[str]
    errorCode: ErrorCode
    errorDetails: str


class Flag(TypedDict):
    """What became of one experiment of all: an evaluation, or why there is none."""

    key: str
    reason: NotRequired[Reason]
    variant: NotRequired[str]
    value: NotRequired[dict[str, Any]]
    metadata: NotRequired[Metadata]
    errorCode: NotRequired[ErrorCode]
    errorDetails: NotRequired[str]


class Flags(TypedDict):
    """Every experiment that answers."""

    flags: list[Flag]


#: Refusals that the protocol tells by the status alone.
SILENT = (401, 403, 429)
FAILURES = Failures(Failed, silent=SILENT)
EVALUATION = {"context": {"targetingKey": "ann", "womens": True, "first_name": "Ann"}}
