"""Visitors with tastes: sent through lists, with what they buy by arm and attributes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.assigning import Order
from experiments.assigning import assign
from experiments.evaluation import Asking
from tests.experiments.house import SECRETS
from tests.experiments.house import House

Visitor = dict[str, Any]

_LIST = 5000


def letters(**changes: Any) -> dict[str, Any]:
    """Two letters for everybody, and three stored attributes: 24 contexts."""
    document: dict[str, Any] = {
        "key": "letters",
        "name": "Which letter?",
        "attributes": {
            "recency": {"type": "number", "store": True, "bands": [3, 6, 9]},
            "zip_code": {"type": "string", "store": True, "bands": ["Urban", "Rural"]},
            "womens": {"type": "boolean", "store": True},
            "first_name": "string",
        },
        "arms": [
            {"key": "one-letter", "role": "mass", "message": {"text": "Spring is here"}},
            {"key": "new-letter", "role": "mass", "message": {"text": "New in store"}},
        ],
        "metrics": [{"key": "purchase", "event": "Order Completed", "kind": "conversion", "role": "goal"}],
    }
    return {**document, **changes}


def shopper(rng: np.random.Generator) -> Visitor:
    """Somebody whose attributes are independent of one another."""
    return {
        "recency": int(rng.integers(12)),
        "zip_code": ("Urban", "Rural", "Surburban")[rng.integers(3)],
        "womens": bool(rng.integers(2)),
        "first_name": "Ann",
    }


def likes(arm: str, visitor: Visitor) -> float:
    """How likely somebody buys to whom the new letter says much, if shopper of women's clothing."""
    base = 0.16 if visitor["zip_code"] == "Urban" else 0.06
    return base * (2.5 if arm == "new-letter" and visitor["womens"] else 1.0)


def send(
    house: House,
    key: str,
    *,
    visitors: int,
    rng: np.random.Generator,
    buys: Callable[[str, Visitor], float] = likes,
    drawn: Callable[[np.random.Generator], Visitor] = shopper,
    **properties: Any,
) -> None:
    """Send so many a letter, and let them buy."""
    for first in range(0, visitors, _LIST):
        listed = [
            {"id": f"{key}-{house.now_ms}-{number}", "attributes": drawn(rng)}
            for number in range(first, min(first + _LIST, visitors))
        ]
        asking = Asking(house.now_ms, "personalise", 90 * 86_400)
        given = assign(
            house.store, house.snapshots, Order(key, exposes=True), visitors=listed, asking=asking, keyring=SECRETS,
            log=house.log,
        )
        arms = given.decisions.column("arm").tolist()
        chances = [buys(arm, one["attributes"]) for arm, one in zip(arms, listed, strict=True)]
        bought = np.flatnonzero(rng.random(len(listed)) < chances)
        house.record(*(house.event(listed[number]["id"], "Order Completed", **properties) for number in bought))
