"""The widest campaign that pages must stay light for: fifty segments, each with a letter of its own."""

from typing import Any

SEGMENTS = 50
_CITIES = ("Amsterdam", "Bonn", "Chur", "Delft", "Essen")


def fifty_segments(**changes: Any) -> dict[str, Any]:
    """A document of fifty segments, every one with two conditions, a name and a tailored arm."""
    document: dict[str, Any] = {
        "key": "fifty",
        "name": "A letter for each of fifty tastes",
        "hypothesis": "Tastes differ by place and by how long ago somebody bought.",
        "policy": {"kind": "thompson", "min_share": 0.01},
        "control_share": 0.1,
        "currency": "EUR",
        "audience": 640_000,
        "attributes": {"city": "string", "recency": "number", "womens": "boolean", "first_name": "string"},
        "segments": [_segment(number) for number in range(SEGMENTS)],
        "arms": [
            {"key": "nothing", "role": "control"},
            {"key": "one-letter", "role": "mass", "channel": "email", "cost_per_exposure": 0.02, "fixed_cost": 150,
             "message": {"subject": "Spring is here", "body": "Hello {{ first_name | default: 'there' }}"}},
            *(_arm(number) for number in range(SEGMENTS)),
        ],
        "metrics": [
            {"key": "purchase", "event": "Order Completed", "kind": "conversion", "role": "goal", "window": "14d"},
            {"key": "unsubscribe", "event": "Unsubscribed", "kind": "conversion", "role": "guardrail", "limit": 0.02},
        ],
    }
    return {**document, **changes}


def _segment(number: int) -> dict[str, Any]:
    rule = {"city": _CITIES[number % 5], "recency": {"$exists": True, "$gte": number // 5}}
    return {"key": f"taste-{number}", "name": f"People of taste number {number}", "kind": "behavioral", "rule": rule}


def _arm(number: int) -> dict[str, Any]:
    message = {"subject": f"For taste number {number}", "body": "Hello {{ first_name }}, this was made for your taste."}
    return {
        "key": f"letter-{number}", "role": "tailored", "segments": [f"taste-{number}"], "channel": "email",
        "message": message, "cost_per_exposure": 0.02, "fixed_cost": 400,
    }
