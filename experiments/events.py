"""Events as clients send them (Segment's tracking calls), read into what can be counted or refused by name."""

import hashlib
import re
from collections.abc import Callable
from collections.abc import Mapping
from datetime import datetime
from datetime import timezone
from typing import Any
from typing import NamedTuple

import msgspec

from experiments.assignment import Consent
from experiments.errors import RejectedEvent
from experiments.errors import shown
from experiments.event_shape import LONGEST_ID
from experiments.event_shape import LONGEST_NAME
from experiments.privacy.consent import consent_of

#: The event by which front-ends say that a slot was reached, in any arm.
EXPOSURE_EVENT = "Experiment Viewed"

#: How the rules of a local evaluation name the epoch, behind the experiment's key.
_EPOCH = re.compile("[0-9]{1,9}")

_CONTROL = re.compile("[\x00-\x1f]")

#: The order of members does not make another body.
_BODY = msgspec.json.Encoder(order="sorted")

_LARGEST_AMOUNT = 10**9

#: A request takes a while, and each another while: corrected by it, an order could come before its own exposure.
_LONGEST_WAY_MS = 10_000

#: Calls that name no event; a page call is the event that Segment's own destinations make of it.
_EVENT_OF_CALL = {"page": "Page Viewed", "screen": "Screen Viewed"}
_SILENT_CALLS = frozenset({"identify", "group", "alias"})

#: Events that clients send of themselves, so that nobody is to blame where no metric names them.
AUTOMATIC_EVENTS = frozenset(_EVENT_OF_CALL.values())


class Terms(NamedTuple):
    """What an installation asks of events: the consent where none is said, and how late an event may come."""

    consent_default: Consent
    horizon_seconds: int


class ExposureEvent(NamedTuple):
    """A visitor reached the slot of an experiment; `id` and `digest` are 16 bytes, times ms since 1970, UTC.

    `epoch` is the one that a local evaluation drew the arm in.
    """

    visitor: str
    id: bytes
    digest: bytes
    at_ms: int
    received_ms: int
    experiment: str
    epoch: int | None
    token: str | None
    variation: str | None
    traits: Mapping[str, Any]
    consent: Consent


class OutcomeEvent(NamedTuple):
    """A visitor did something; `identified` says that the client gave the id, so that a repeat can be known."""

    visitor: str
    id: bytes
    digest: bytes
    at_ms: int
    received_ms: int
    name: str
    properties: Mapping[str, Any]
    identified: bool


class SilentEvent(NamedTuple):
    """A call that nothing counts, or from somebody who did not consent; `code` says which."""

    code: str


#: What may be counted, and reaches the disk.
Countable = ExposureEvent | OutcomeEvent
Event = Countable | SilentEvent


def read_event(
    item: object, *, received_ms: int, sent_at: object, fresh_id: Callable[[], bytes], terms: Terms
) -> Event:
    """Read one item of a batch; `fresh_id` serves an outcome that came without an id.

    :raises RejectedEvent: with the code and the rule, if it cannot be counted.
    """
    if not isinstance(item, dict):
        raise RejectedEvent("invalid_event", f"an event must be an object, not {shown(item)}")
    name = _name(item)
    visitor = _visitor(item)
    context = _object(item, "context")
    consent = _consent(context, default=terms.consent_default)
    if consent == "none":
        return SilentEvent("no_consent")
    if name is None:
        return SilentEvent("not_counted")
    field = _time_field(item)
    at_ms = _time(item, field, received_ms=received_ms, sent_at=sent_at)
    if at_ms < received_ms - terms.horizon_seconds * 1000:
        raise RejectedEvent("too_old", f"{field}: {shown(item[field])} is older than events are accepted")
    properties = _object(item, "properties")
    digest = _digest(item, field)
    given_id = message_id(item)
    if name == EXPOSURE_EVENT:
        identity = digest if given_id is None else given_id
        return ExposureEvent(
            visitor, identity, digest, at_ms, received_ms, *_exposed_to(properties), _object(context, "traits"), consent
        )
    return OutcomeEvent(
        visitor, given_id or fresh_id(), digest, at_ms, received_ms, name, properties, given_id is not None
    )


def exposure_by_assignment(
    visitor: str, experiment: str, *, token: str, call_id: bytes | None, now_ms: int
) -> ExposureEvent:
    """The exposure that an assignment counts: one for each visitor and call, however often the call is made.

    `call_id` is the `message_id` of the call; calls without one are one call.
    """
    identity = assignment_id(experiment, call_id=call_id)
    return ExposureEvent(visitor, identity, identity, now_ms, now_ms, experiment, None, token, None, {}, "personalise")


def assignment_id(experiment: str, *, call_id: bytes | None) -> bytes:
    """By what the exposure of a call is known again."""
    # Ids that clients send have no control characters, so that none of them can be this one.
    return _sixteen_bytes(b"\0".join((b"", experiment.encode(), call_id or b"")))


def _exposed_to(properties: Mapping[str, Any]) -> tuple[str, int | None, str | None, str | None]:
    # GrowthBook's own integrations write the names in the other way.
    experiment = properties.get("experiment_id", properties.get("experimentId"))
    if not isinstance(experiment, str):
        raise RejectedEvent("unknown_experiment", f"properties.experiment_id: {shown(experiment)} must be a string")
    token = _text_if_any(properties.get("token"), "token", code="invalid_token")
    variation = properties.get("variation_id", properties.get("variationId"))
    return *_key_and_epoch(experiment), token, _text_if_any(variation, "variation_id", code="unknown_arm")


def _text_if_any(value: object, field: str, *, code: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise RejectedEvent(code, f"properties.{field}: {shown(value)} must be a string")


def _key_and_epoch(text: str) -> tuple[str, int | None]:
    key, mark, epoch = text.partition("@")
    if not mark:
        return key, None
    if not _EPOCH.fullmatch(epoch):
        raise RejectedEvent("unknown_epoch", f"properties.experiment_id: {shown(text)} must name a number after the @")
    return key, int(epoch)


def _name(item: Mapping[str, Any]) -> str | None:
    call = item.get("type", "track")
    if not isinstance(call, str):
        raise RejectedEvent("invalid_type", f"type: {shown(call)} must be a string")
    if call in _SILENT_CALLS:
        return None
    if call in _EVENT_OF_CALL:
        return _EVENT_OF_CALL[call]
    if call != "track":
        raise RejectedEvent("invalid_type", f"type: {shown(call)} is not a call of the tracking API")
    return _text(item.get("event"), "event", code="invalid_event", longest=LONGEST_NAME)


def _visitor(item: Mapping[str, Any]) -> str:
    field = "userId" if item.get("userId") is not None else "anonymousId"
    return checked_visitor(item.get(field), field)


def checked_visitor(value: object, field: str) -> str:
    """A visitor's id as sent, byte for byte.

    :raises RejectedEvent: `invalid_visitor`, if it is not 1 to 512 characters without control characters.
    """
    return _text(value, field, code="invalid_visitor", longest=LONGEST_ID)


def _text(value: object, field: str, *, code: str, longest: int) -> str:
    if isinstance(value, str) and 0 < len(value) <= longest and (value.isprintable() or not _CONTROL.search(value)):
        return value
    rule = f"must be a string of 1 to {longest} characters without control characters"
    raise RejectedEvent(code, f"{field}: {shown(value)} {rule}")


def message_id(item: Mapping[str, Any]) -> bytes | None:
    """The id that a call gives, as it is stored; None where it gives none.

    :raises RejectedEvent: `invalid_id`, if it is not 1 to 512 characters without control characters.
    """
    value = item.get("messageId")
    if value is None:
        return None
    # Clients build ids from whatever they have, a visitor's id included: only a digest reaches the disk.
    return _sixteen_bytes(_text(value, "messageId", code="invalid_id", longest=LONGEST_ID).encode())


def _object(holder: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    value = holder.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RejectedEvent(f"invalid_{field}", f"{field}: {shown(value)} must be an object")
    return value


def _consent(context: Mapping[str, Any], *, default: Consent) -> Consent:
    if not context:
        return default
    # Consent managers put an object here in Segment's own clients; it says nothing to us.
    if isinstance(context.get("consent"), dict):
        context = {**context, "consent": None}
    return consent_of(context, default=default)


def _time_field(item: Mapping[str, Any]) -> str:
    """The name under which a client gives the time by its clock; RudderStack's in browsers use the second."""
    return "timestamp" if item.get("timestamp") is not None else "originalTimestamp"


def _time(item: Mapping[str, Any], field: str, *, received_ms: int, sent_at: object) -> int:
    if item.get(field) is None:
        return received_ms
    sent = item.get("sentAt") if sent_at is None else sent_at
    return min(instant(item[field], field) + _clock_error(sent, received_ms=received_ms), received_ms)


def _clock_error(sent_at: object, *, received_ms: int) -> int:
    """How far the client's clock is behind, which the difference at sending tells."""
    if sent_at is None:
        return 0
    behind_ms = received_ms - instant(sent_at, "sentAt")
    return behind_ms if abs(behind_ms) > _LONGEST_WAY_MS else 0


def instant(value: object, field: str) -> int:
    """An ISO 8601 time as ms since 1970, UTC; without an offset it is taken as UTC.

    :raises RejectedEvent: `invalid_timestamp`.
    """
    try:
        moment = datetime.fromisoformat(value)  # type: ignore[arg-type]  # What is no text is a TypeError.
        aware = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        return round(aware.timestamp() * 1000)
    except (TypeError, ValueError, OverflowError) as error:
        raise RejectedEvent("invalid_timestamp", f"{field}: {shown(value)} must be an ISO 8601 time") from error


def amount(properties: Mapping[str, Any], field: str) -> int | float | None:
    """The number in a property, or None where the event has no such property.

    :raises RejectedEvent: `invalid_value`, if it is not a number from 0 to 10^9.
    """
    value = properties.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _LARGEST_AMOUNT:
        raise RejectedEvent("invalid_value", f"properties.{field}: {shown(value)} must be a number from 0 to 10^9")
    return value


def _digest(item: Mapping[str, Any], time_field: str) -> bytes:
    body = [item.get("type", "track"), item.get("event"), item.get("properties"), item.get(time_field)]
    return _sixteen_bytes(_BODY.encode(body))


def _sixteen_bytes(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:16]
