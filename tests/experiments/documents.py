"""Experiment documents that tests start from; each call gives a fresh one, free to be changed."""

from copy import deepcopy
from typing import Any

_SPRING_MAILING: dict[str, Any] = {
    "key": "spring-mailing",
    "name": "Spring mailing: one letter for all, or one per taste?",
    "hypothesis": "Shoppers of women's clothing buy more from a letter about it.",
    "objective": "conversion",
    "policy": {"kind": "thompson", "every": "1h", "min_share": 0.05, "burn_in": 100, "max_step": 0.25},
    "control_share": 0.1,
    "attributes": {"recency": "number", "womens": "boolean", "zip_code": "string", "first_name": "string"},
    "audience": 64000,
    "segments": [
        {
            "key": "womens-shoppers", "name": "Bought women's clothing", "kind": "behavioral",
            "rule": {"womens": True}, "review_by": "2027-03-01",
        },
    ],
    "arms": [
        {"key": "nothing", "role": "control"},
        {
            "key": "one-letter", "role": "mass", "channel": "email",
            "message": {"subject": "Spring is here", "body": "Hello {{ first_name | default: 'there' }}"},
            "cost_per_exposure": 0.02, "fixed_cost": 150,
        },
        {
            "key": "womens-letter", "role": "tailored", "segments": ["womens-shoppers"], "channel": "email",
            "message": {"subject": "New in women's", "body": "…"},
            "cost_per_exposure": 0.02, "fixed_cost": 400,
        },
    ],
    "metrics": [
        {
            "key": "purchase", "event": "Order Completed", "kind": "conversion", "role": "goal",
            "window": "14d", "value": 40,
        },
        {
            "key": "spend", "event": "Order Completed", "kind": "value", "property": "revenue", "role": "secondary",
            "window": "14d", "cap": 500,
        },
        {"key": "visits", "event": "Page Viewed", "kind": "count", "role": "secondary", "window": "14d", "cap": 100},
        {
            "key": "came-back", "event": "Order Completed", "kind": "retention", "role": "secondary",
            "from": "14d", "window": "60d",
        },
        {
            "key": "unsubscribe", "event": "Unsubscribed", "kind": "conversion", "role": "guardrail",
            "direction": "decrease", "limit": 0.02,
        },
    ],
    "currency": "EUR",
}


def spring_mailing(**changes: Any) -> dict[str, Any]:
    """The contract's example: a control, a mass and a tailored arm, and a metric of every kind."""
    return {**deepcopy(_SPRING_MAILING), **changes}


def tiny(**changes: Any) -> dict[str, Any]:
    """The least that can be tested: a control, a mass arm and a conversion."""
    document: dict[str, Any] = {
        "key": "tiny",
        "arms": [{"key": "nothing", "role": "control"}, {"key": "everyone", "role": "mass"}],
        "metrics": [{"key": "signup", "event": "Signed Up", "kind": "conversion", "role": "goal"}],
    }
    return {**document, **changes}
