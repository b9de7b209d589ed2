"""A showroom: an installation in which every page has something to show, in each of its states."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments import lifecycle
from experiments.acts import AnyAct
from experiments.acts import do
from experiments.assigned_lists import Assigned
from experiments.assigning import Order
from experiments.assigning import assign
from experiments.audit import Deed
from experiments.evaluation import Asking
from experiments.reallocation import reallocate_due
from tests.experiments.documents import spring_mailing
from tests.experiments.house import DAY
from tests.experiments.house import HOUR
from tests.experiments.house import SECRETS
from tests.experiments.house import House
from tests.experiments.tastes import letters
from tests.experiments.tastes import send
from tests.experiments.wide import fifty_segments

ANN = "ann@shop.example"
#: The campaign with a verdict.
RICH = "spring-mailing"
#: How long the campaigns have run.
DAYS = 12
#: What each letter sells to whom.
_SALES = {
    "womens": {"nothing": 0.02, "one-letter": 0.05, "womens-letter": 0.14},
    "mens": {"nothing": 0.02, "one-letter": 0.05, "mens-letter": 0.05},
    "neither": {"nothing": 0.02, "one-letter": 0.04},
}


def two_tastes(**changes: Any) -> dict[str, Any]:
    """The contract's example with a second taste, for which a letter of its own is not worth it."""
    document = spring_mailing()
    document["attributes"] |= {"mens": "boolean"}
    document["segments"].append({
        "key": "mens-shoppers", "name": "Bought men's clothing", "kind": "behavioral", "rule": {"mens": True}
    })
    document["arms"].append({
        **document["arms"][2], "key": "mens-letter", "segments": ["mens-shoppers"],
        "message": {"subject": "New in men's", "body": "Hello {{ first_name | default: 'there' }}"},
    })
    return {**document, **changes}


def in_days(document: dict[str, Any], days: int) -> dict[str, Any]:
    """The document with a goal that is reached within so many days, so that some visitors' time is over."""
    goal, *others = document["metrics"]
    return {**document, "metrics": [{**goal, "window": f"{days}d"}, *others]}


def furnish(house: House) -> None:
    """Campaigns in every state; the house's clock ends where the pages are to be looked at."""
    rng = np.random.default_rng(7)
    end_ms = house.now_ms + DAYS * DAY
    _begin(house, in_days(two_tastes(key="summer-sale", name="Summer sale: who wants the catalogue?"), 3), "start")
    _begin(house, two_tastes(), "start")
    _begin(house, two_tastes(key="gift-cards", name="Gift cards"), "start")
    for day in range(DAYS):
        house.now_ms = end_ms - (DAYS - day) * DAY
        _sell(house, RICH, rng, visitors=600)
        if day < DAYS // 2:
            _sell(house, "summer-sale", rng, visitors=400)
            _sell(house, "gift-cards", rng, visitors=120, lost="one-letter", leaving=0.1)
        _reallocate(house)
    _act(house, "summer-sale", "stop", reason="The summer is over.")
    house.now_ms = end_ms
    _act(house, RICH, "freeze", reason="The shop moves house this weekend.")
    _act(house, RICH, "unfreeze", reason="It has moved.")
    _begin(house, two_tastes(key="welcome", name="Welcome: a first letter"), "start", "pause")
    _begin(house, two_tastes(key="birthdays", name="Birthdays"), "start", "freeze")
    _begin(house, two_tastes(key="last-year", name="Last year's spring mailing"), "start", "stop", "archive")
    _begin(house, two_tastes(key="loyalty-card", name="Does the loyalty card need a letter of its own?"))
    _begin(house, fifty_segments())
    _write_twice(house, rng)
    house.now_ms = end_ms - 2 * HOUR
    _begin(house, two_tastes(key="autumn-flyer", name="Autumn flyer"), "start")
    _sell(house, "autumn-flyer", rng, visitors=40)
    _reallocate(house)
    house.now_ms = end_ms
    _begin(house, letters(name="Which of two letters?"), "start")
    send(house, "letters", visitors=8_000, rng=rng)
    _begin(house, two_tastes(key="new-arrivals", name="New arrivals"), "start", "finish")


def _write_twice(house: House, rng: np.random.Generator) -> None:
    """A campaign whose visitors may be written to once or twice, as chance has it, and what came of it."""
    end_ms, names = house.now_ms, [f"win-back-{number}" for number in range(1200)]
    document = in_days(two_tastes(key="win-back", name="Win-back: one letter or two?"), 3)
    house.now_ms = end_ms - 9 * DAY
    _begin(house, {**document, "frequency": {"cap": [1, 2], "per": "30d", "costs": {"unsubscribe": 5}}}, "start")
    asking, reached = Asking(house.now_ms, "personalise", 90 * 86_400), Counter[str]()
    for call in (b"first", b"second"):
        order = Order("win-back", exposes=True, call_id=call)
        visitors = [{"id": name, "attributes": {"womens": number % 2 == 0}} for number, name in enumerate(names)]
        answers = assign(house.store, house.snapshots, order, visitors=visitors, asking=asking, keyring=SECRETS)
        reached.update(name for name, one in zip(names, answers.each(), strict=True) if isinstance(one, Assigned))
    house.record(*(
        house.event(name, "Order Completed", revenue=40)
        for name in names if rng.random() < (0.2 if reached[name] == 2 else 0.08)
    ))
    house.now_ms = end_ms


def _begin(house: House, document: Mapping[str, Any], *names: AnyAct) -> None:
    lifecycle.create(house.store, dict(document), deed=Deed(ANN, house.now_ms))
    for name in names:
        _act(house, document["key"], name, reason="As planned.")


def _act(house: House, key: str, name: AnyAct, *, reason: str) -> None:
    do(house.store, key, name, deed=Deed(ANN, house.now_ms, reason))
    house.snapshots.refresh()


def _reallocate(house: House) -> None:
    """What the scheduler does an hour later."""
    house.now_ms += HOUR
    reallocate_due(house.store, now_ms=house.now_ms)
    house.snapshots.refresh()


def _sell(
    house: House, key: str, rng: np.random.Generator, *, visitors: int, lost: str = "", leaving: float = 0.005
) -> None:
    """Visitors of a campaign and what they do; of one arm, `lost`, every second exposure is never told."""
    events = []
    for number in range(visitors):
        taste = ("womens", "mens", "neither")[number % 3]
        visitor = f"{key}-{house.now_ms}-{number}"
        context = {} if taste == "neither" else {taste: True}
        arm = house.evaluate(key, visitor, **context).assignment.arm
        if arm == lost and number % 2:
            continue
        events.append(house.exposure(key, visitor, **context))
        if rng.random() < _SALES[taste][arm]:
            events.append(house.event(visitor, "Order Completed", revenue=round(float(rng.gamma(4, 10)), 2)))
        if arm != "nothing" and rng.random() < leaving:
            events.append(house.event(visitor, "Unsubscribed"))
    house.record(*events)
