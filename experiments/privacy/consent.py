"""Consent as a context states it: in a word, or by the browser's Global Privacy Control signal passed on."""

from collections.abc import Mapping
from typing import Any

from experiments.assignment import Consent
from experiments.errors import RejectedEvent
from experiments.errors import shown

#: A header's name and the property of browsers (`navigator.globalPrivacyControl`) by the names that clients give them.
_SIGNALS = ("Sec-GPC", "gpc")
_OBJECTS_BY_SIGNAL = {"1": True, "true": True, "0": False, "false": False}


def consent_of(context: Mapping[str, Any], *, default: Consent) -> Consent:
    """What the context says; `default` where it says nothing, `none` where it holds the signal, whatever else it says.

    :raises RejectedEvent: `invalid_consent`, if it says something else.
    """
    consent = context.get("consent")
    if consent not in (None, "none", "measure", "personalise"):
        rule = "must be none, measure or personalise"
        raise RejectedEvent("invalid_consent", f"context.consent: {shown(consent)} {rule}")
    # Hardly any context holds one; whichever is not what it may be is refused, even after one that objects.
    if context.keys().isdisjoint(_SIGNALS):
        return consent or default
    signals = [_objects(context, name) for name in _SIGNALS]
    return "none" if any(signals) else consent or default


def _objects(context: Mapping[str, Any], name: str) -> bool:
    value = context.get(name)
    if value is None:
        return False
    objects = _OBJECTS_BY_SIGNAL.get(str(value).lower()) if isinstance(value, (bool, int, str)) else None
    if objects is None:
        raise RejectedEvent("invalid_consent", f"context.{name}: {shown(value)} must be true, false, 1 or 0")
    return objects
