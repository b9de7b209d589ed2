"""Events of GrowthBook's tracking plugins (JavaScript and Python) as the calls of Segment's that we read."""

from collections.abc import Mapping
from typing import Any

from experiments.events import EXPOSURE_EVENT
from experiments.rules.coercions import is_number
from experiments.rules.coercions import number_text

_EXPOSURES = (EXPOSURE_EVENT, "$$experiment_viewed")
#: Pages evaluate everything when they load: no slot was reached.
_EVALUATIONS = ("Feature Evaluated", "$$feature_evaluated")

#: Attributes that the plugins move out of the others, by the names that they give them.
_MOVED = {
    "utm_campaign": "utmCampaign",
    "utm_content": "utmContent",
    "utm_medium": "utmMedium",
    "utm_source": "utmSource",
    "utm_term": "utmTerm",
    "page_title": "pageTitle",
}


def segment_call(item: object) -> object:
    """The call that says the same; what is no event at all is left for the reader to refuse."""
    if not isinstance(item, dict):
        return item
    name, properties = item.get("event_name"), item.get("properties_json")
    call = {"userId": _visitor(item), "context": _context(item), "event": name, "properties": properties}
    if name in _EVALUATIONS:
        return {**call, "type": "identify"}
    if not isinstance(properties, dict):
        return call
    if name in _EXPOSURES:
        return {**call, **_exposure(properties)}
    return {**call, "messageId": properties.get("messageId")}


def _visitor(item: Mapping[str, Any]) -> object:
    # The attribute `id` comes as the device's where no other attribute for that is set.
    return item.get("device_id") or item.get("user_id")


def _exposure(properties: Mapping[str, Any]) -> dict[str, Any]:
    visitor = properties.get("hashValue", properties.get("hash_value"))
    # Python says the arm's place beside its key.
    key = properties.get("variation_key")
    named = properties if key is None else {**properties, "variation_id": key}
    return {
        "event": EXPOSURE_EVENT,
        "userId": number_text(visitor) if is_number(visitor) else visitor,
        "properties": named,
    }


def _context(item: Mapping[str, Any]) -> object:
    attributes = item.get("context_json")
    if attributes is not None and not isinstance(attributes, dict):
        return attributes
    moved = {ours: item[theirs] for theirs, ours in _MOVED.items() if item.get(theirs) is not None}
    traits = {**(attributes or {}), **moved}
    return {"traits": traits, "consent": traits.get("consent")}
