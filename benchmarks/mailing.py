"""The campaign that speed is measured on: one letter for all, and one for each of some segments."""

import random
from collections.abc import Iterator
from typing import Any
from typing import NamedTuple
from uuid import UUID

KEY = "spring-mailing"
ORDER = "Order Completed"

_CITIES = ("Berlin", "Bonn", "Hamburg", "Jena", "Kiel", "Köln", "Mainz", "Trier")
_TASTES = ("men", "women", "children", "none")
_MOST_TAILORED = 100

#: One rule of each kind that marketers write; the last visitors belong to none of them.
RULES: tuple[dict[str, Any], ...] = (
    {"taste": "women", "recency": {"$exists": True, "$lt": 4}},
    {"city": {"$in": ["Bonn", "Köln"]}},
    {"orders": {"$exists": True, "$gte": 8}, "newsletter": True},
    {"$or": [{"taste": "children"}, {"city": "Jena"}]},
    {"taste": {"$nin": ["men", "none"]}},
)


class Customer(NamedTuple):
    """A visitor, and what is known of it."""

    id: str
    attributes: dict[str, Any]

    @property
    def context(self) -> dict[str, Any]:
        """As OpenFeature's clients send it."""
        return {"targetingKey": self.id, **self.attributes}

    @property
    def item(self) -> dict[str, Any]:
        """As it stands in a list to assign."""
        return {"id": self.id, "attributes": self.attributes}


def customers(number: int, *, seed: int = 1) -> Iterator[Customer]:
    """So many customers, no two alike, the same ones each time."""
    draw = random.Random(seed)
    for _ in range(number):
        yield Customer(str(UUID(int=draw.getrandbits(128))), {
            "taste": draw.choice(_TASTES),
            "city": draw.choice(_CITIES),
            "recency": draw.randrange(13),
            "orders": draw.randrange(10),
            "newsletter": draw.random() < 0.5,
            "first_name": draw.choice(("Ann", "Bea", "Cem", "Dan")),
        })


def document(rules: tuple[dict[str, Any], ...] = RULES, *, key: str = KEY, letters: int = 1) -> dict[str, Any]:
    """A control, so many letters for all, and one for each segment, as far as there may be arms."""
    names = [f"segment-{number}" for number in range(len(rules))]
    return {
        "key": key,
        "control_share": 0.1,
        "attributes": {
            "taste": "string", "city": "string", "recency": "number", "orders": "number", "newsletter": "boolean",
            "first_name": "string",
        },
        "segments": [
            {"key": name, "kind": "behavioral", "rule": rule} for name, rule in zip(names, rules, strict=True)
        ],
        "arms": [
            {"key": "nothing", "role": "control"},
            *({"key": f"letter-{number}", "role": "mass", "channel": "email", "message": _letter("Spring is here"),
               "cost_per_exposure": 0.02} for number in range(letters)),
            *({"key": f"for-{name}", "role": "tailored", "segments": [name], "channel": "email",
               "message": _letter("New for you"), "cost_per_exposure": 0.02} for name in names[:_MOST_TAILORED]),
        ],
        "metrics": [
            {"key": "purchase", "event": ORDER, "kind": "conversion", "role": "goal", "value": 40},
            {"key": "spend", "event": ORDER, "kind": "value", "property": "revenue", "role": "secondary", "cap": 500},
        ],
    }


def _letter(subject: str) -> dict[str, str]:
    return {"subject": subject, "body": "Hello {{ first_name | default: 'there' }}"}
