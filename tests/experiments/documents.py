"""Experiment documents that tests start from; each call gives a fresh one, free to be changed."""

import json
from pathlib import Path
from typing import Any

_EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "spring-mailing.json"


def spring_mailing(**changes: Any) -> dict[str, Any]:
    """The contract's example: a control, a mass and a tailored arm, and a metric of every kind."""
    return {**json.loads(_EXAMPLE.read_text()), **changes}


def at_home(**changes: Any) -> dict[str, Any]:
    """What GrowthBook's SDKs may evaluate: every type of attribute, segments with arms of their own, two mass arms."""
    document: dict[str, Any] = {
        "key": "at-home",
        "name": "A name for colleagues",
        "hypothesis": "A secret hypothesis.",
        "local_evaluation": True,
        "control_share": 0.1,
        "attributes": {
            "recency": "number", "womens": "boolean", "city": "string", "app": "version", "tags": "list",
            "first_name": "string",
        },
        "segments": [
            {"key": "secret-lapsed", "kind": "behavioral", "rule": {"recency": {"$exists": True, "$gte": 6}}},
            {"key": "secret-fans", "kind": "behavioral", "rule": {"$or": [
                {"womens": True, "tags": {"$in": ["news", 7]}}, {"tags": {"$size": {"$gte": 3}}},
            ]}},
            {"key": "secret-modern", "kind": "geographic", "rule": {
                "app": {"$exists": True, "$gte": "2.0.0"}, "city": {"$not": {"$in": ["Bonn", "Köln"]}},
            }},
            {"key": "secret-nameless", "kind": "geographic", "rule": {"city": None, "womens": {"$ne": False}}},
        ],
        "arms": [
            {"key": "for-fans", "role": "tailored", "segments": ["secret-fans"], "message": {"text": "Fans first"}},
            {"key": "letter", "role": "mass", "message": {"text": "Hello {{ first_name | default: 'there' }}"}},
            {"key": "nothing", "role": "control"},
            {"key": "for-two", "role": "tailored", "segments": ["secret-lapsed", "secret-fans"],
             "message": {"text": "Come back"}, "cost_per_exposure": 0.5, "fixed_cost": 1234},
            {"key": "card", "role": "mass", "message": {"text": "A card"}},
        ],
        "metrics": [
            {"key": "secret-goal", "event": "Order Completed", "kind": "conversion", "role": "goal", "source": "server",
             "window": "14d"},
            {"key": "visits", "event": "Page Viewed", "kind": "count", "role": "secondary", "cap": 100},
        ],
    }
    return {**document, **changes}


def tiny(**changes: Any) -> dict[str, Any]:
    """The least that can be tested: a control, a mass arm and a conversion."""
    document: dict[str, Any] = {
        "key": "tiny",
        "arms": [{"key": "nothing", "role": "control"}, {"key": "everyone", "role": "mass"}],
        "metrics": [{"key": "signup", "event": "Signed Up", "kind": "conversion", "role": "goal"}],
    }
    return {**document, **changes}


def three_kinds() -> list[dict[str, Any]]:
    """One that learns, with a metric of every kind; one that SDKs evaluate, its goal heard from servers; a late one."""
    order = {"event": "Order Completed"}
    return [
        {
            "key": "letters",
            "policy": {"kind": "thompson", "every": "1h", "burn_in": 0, "burn_in_conversions": 0, "max_step": 0.5},
            "control_share": 0.1,
            "attributes": {"womens": "boolean"},
            "segments": [{"key": "womens-shoppers", "kind": "behavioral", "rule": {"womens": True}}],
            "arms": [
                {"key": "nothing", "role": "control"},
                {"key": "one-letter", "role": "mass", "cost_per_exposure": 0.02},
                {"key": "womens-letter", "role": "tailored", "segments": ["womens-shoppers"],
                 "cost_per_exposure": 0.03},
            ],
            "metrics": [
                {"key": "purchase", **order, "kind": "conversion", "role": "goal", "window": "2d", "value": 40},
                {"key": "spend", **order, "kind": "value", "property": "revenue", "role": "secondary",
                 "window": "2d", "cap": 50},
                {"key": "visits", "event": "Page Viewed", "kind": "count", "role": "secondary", "window": "1d",
                 "cap": 2},
                {"key": "came-back", **order, "kind": "retention", "role": "secondary", "from": "2d", "window": "5d"},
            ],
        },
        {
            "key": "offers",
            "policy": {"kind": "fixed", "every": "6h", "max_step": 1.0, "shares": {"card": 0.5, "mail": 0.5}},
            "local_evaluation": True,
            "attributes": {"womens": "boolean"},
            "arms": [{"key": "card", "role": "mass"}, {"key": "mail", "role": "mass"}],
            "metrics": [
                {"key": "order", **order, "kind": "conversion", "role": "goal", "source": "server", "window": "1d"},
                {"key": "views", "event": "Page Viewed", "kind": "count", "role": "secondary", "window": "3d",
                 "cap": 5},
            ],
        },
        {
            "key": "later",
            "arms": [{"key": "nothing", "role": "control"}, {"key": "everyone", "role": "mass"}],
            "metrics": [{"key": "signup", "event": "Signed Up", "kind": "conversion", "role": "goal"}],
            "policy": {"kind": "fixed", "every": "1h"},
            "control_share": 0.5,
        },
    ]
