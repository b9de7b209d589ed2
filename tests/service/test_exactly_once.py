"""Over HTTP: whatever is sent, however often and in whatever order, counts once or says why not."""

from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from experiments.storage.store import Store
from experiments.times import iso
from experiments.verification import verify
from service.installation import Installation
from tests.service.conftest import NOW_MS
from tests.service.conftest import SetClock
from tests.service.conftest import bearer
from tests.service.conftest import count_rows

KEY = "spring-mailing"
DAY_MS = 86_400_000
AT_ONCE = 100


class Site:
    """Somebody who sends events with a server's key, and acts with an admin's."""

    def __init__(self, client: FlaskClient, keys: dict[str, str], installation: Installation) -> None:
        self.client = client
        self.keys = keys
        self.store: Store = installation.store

    def token(self, visitor: str, key: str = KEY) -> str:
        """The token of an evaluation."""
        path = f"/ofrep/v1/evaluate/flags/{key}"
        context = {"context": {"targetingKey": visitor}}
        answer = self.client.post(path, json=context, headers=bearer(self.keys["client"]))
        return str(answer.get_json()["metadata"]["token"])

    def fates(self, *items: dict[str, Any], scope: str = "server") -> list[str]:
        """What becomes of the events of a batch: the status, or the code where there is one."""
        answer = self.client.post("/v1/batch", json={"batch": list(items)}, headers=bearer(self.keys[scope]))
        assert answer.status_code == 200, answer.get_json()
        told = {item["index"]: item["code"] for item in answer.get_json()["items"]}
        return [told.get(index, "accepted") for index in range(len(items))]

    def act(self, *names: str) -> None:
        """Do something to the experiment."""
        for name in names:
            path = f"/v1/experiments/{KEY}/{name}"
            assert self.client.post(path, headers=bearer(self.keys["admin"])).status_code == 200

    def counted(self, metric: str, key: str = KEY) -> tuple[int, int]:
        """Visitors and sum of a metric over all arms and segments."""
        rows = [row for row in self.store.read(lambda session: session.cells.of(key)) if row.key.metric == metric]
        return sum(row.n for row in rows), sum(row.total for row in rows)


@pytest.fixture
def site(client: FlaskClient, keys: dict[str, str], installation: Installation, running: dict[str, Any]) -> Site:
    """A site on which the example runs."""
    return Site(client, keys, installation)


def seen(visitor: str, *, id: str = "seen", at_ms: int = NOW_MS, **properties: Any) -> dict[str, Any]:
    """The visitor reached the slot."""
    return {
        "event": "Experiment Viewed", "userId": visitor, "messageId": id, "timestamp": iso(at_ms),
        "properties": {"experiment_id": KEY, **properties},
    }


def ordered(visitor: str, *, id: str, at_ms: int = NOW_MS, revenue: float = 10) -> dict[str, Any]:
    """The visitor buys."""
    return {
        "event": "Order Completed", "userId": visitor, "messageId": id, "timestamp": iso(at_ms),
        "properties": {"revenue": revenue},
    }


def at_once(app: Flask, key: str, items: list[dict[str, Any]]) -> list[str]:
    """What becomes of each event, every one sent by a client of its own at the same time."""

    def send(item: dict[str, Any]) -> str:
        answer = app.test_client().post("/v1/batch", json={"batch": [item]}, headers=bearer(key)).get_json()
        return str(answer["items"][0]["code"]) if answer["items"] else "accepted"

    with ThreadPoolExecutor(20) as threads:
        return list(threads.map(send, items))


@pytest.mark.every_database
def test_of_a_hundred_at_once_one_is_accepted_and_the_others_are_duplicates(app: Flask, site: Site) -> None:
    exposure, order = seen("ann", token=site.token("ann")), ordered("ann", id="order")
    for item in (exposure, order):
        fates = at_once(app, site.keys["server"], [item] * AT_ONCE)
        assert sorted(fates) == ["accepted"] + ["duplicate"] * (AT_ONCE - 1)
    assert site.counted("$exposures") == (1, 1)
    assert site.counted("spend") == (1, 1000)
    assert verify(site.store) == []


@pytest.mark.every_database
def test_of_two_bodies_under_one_id_at_once_one_is_kept_and_every_other_one_is_told(app: Flask, site: Site) -> None:
    site.fates(seen("ann", token=site.token("ann")))
    bodies = [ordered("ann", id="order", revenue=revenue) for revenue in (10, 20)]
    fates = at_once(app, site.keys["server"], bodies * (AT_ONCE // 2))
    kept = fates.index("accepted") % 2
    others = fates[1 - kept :: 2]
    assert sorted(fates[kept::2]) == ["accepted"] + ["duplicate"] * (AT_ONCE // 2 - 1)
    assert others == ["id_reused"] * (AT_ONCE // 2)
    assert site.counted("spend") == (1, 1000 * (1 + kept))
    assert verify(site.store) == []


def test_the_same_id_with_another_body_is_refused_by_name_and_the_first_is_kept(site: Site) -> None:
    site.fates(seen("ann", token=site.token("ann")), ordered("ann", id="order"))
    headers = bearer(site.keys["server"])
    answer = site.client.post("/v1/track", json=ordered("ann", id="order", revenue=99), headers=headers)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "id_reused")
    assert site.counted("spend") == (1, 1000)


@pytest.mark.every_database
def test_six_events_in_any_order_are_counted_alike(site: Site, clock: SetClock) -> None:
    # One visitor for each order: the exposure, a later one; two orders in time, one before them, one too late.
    visitors, later = 720, 0
    batch = []
    for number, places in enumerate(permutations(range(6))):
        visitor = f"visitor-{number}"
        token = site.token(visitor)
        items = [
            seen(visitor, token=token),
            seen(visitor, id="again", at_ms=NOW_MS + 1000, token=token),
            ordered(visitor, id="a"),
            ordered(visitor, id="b", at_ms=NOW_MS + 10 * DAY_MS, revenue=20),
            ordered(visitor, id="c", at_ms=NOW_MS - DAY_MS, revenue=40),
            ordered(visitor, id="d", at_ms=NOW_MS + 80 * DAY_MS, revenue=80),
        ]
        batch += [items[place] for place in places]
        later += places.index(1) < places.index(0)
    # All of it is received at one moment: late, and yet early enough for what comes first to wait.
    clock.advance(seconds=81 * DAY_MS // 1000)
    for start in range(0, len(batch), 1000):
        site.fates(*batch[start : start + 1000])
    assert site.counted("$exposures") == (visitors, 2 * visitors)
    assert site.counted("purchase") == (visitors, visitors)
    # The exposure that is stored first is the first: after the later one order a comes too early.
    assert later == visitors // 2
    assert site.counted("spend") == (visitors, 3000 * (visitors - later) + 2000 * later)
    assert verify(site.store) == []


WORD = {"variation_id": "one-letter"}


@pytest.mark.parametrize(
    ("acts", "days", "item", "fate", "again"),
    [
        ((), 1, ordered("ann", id="late", at_ms=NOW_MS + DAY_MS), "accepted", "duplicate"),
        ((), 70, ordered("ann", id="late", at_ms=NOW_MS + 70 * DAY_MS), "after_window", "duplicate"),
        ((), 1, ordered("ann", id="early", at_ms=NOW_MS - DAY_MS), "before_exposure", "duplicate"),
        ((), 95, ordered("ann", id="old", at_ms=NOW_MS), "too_old", "too_old"),
        (("pause",), 1, ordered("ann", id="late", at_ms=NOW_MS + DAY_MS), "accepted", "duplicate"),
        (("pause",), 70, ordered("ann", id="late", at_ms=NOW_MS + 70 * DAY_MS), "after_window", "duplicate"),
        (("stop",), 1, ordered("ann", id="late", at_ms=NOW_MS + DAY_MS), "accepted", "duplicate"),
        (("stop",), 70, ordered("ann", id="late", at_ms=NOW_MS + 70 * DAY_MS), "after_window", "duplicate"),
        (("stop", "archive"), 1, ordered("ann", id="late"), "unknown_event", "unknown_event"),
        ((), 0, seen("bob", **WORD), "accepted", "duplicate"),
        ((), 0, seen("bob", variation_id="no-such-arm"), "unknown_arm", "unknown_arm"),
        ((), 0, seen("bob"), "unknown_arm", "unknown_arm"),
        ((), 0, seen("bob", experiment_id="none", **WORD), "unknown_experiment", "unknown_experiment"),
        (("pause",), 0, seen("bob", **WORD), "not_running", "not_running"),
        (("stop",), 0, seen("bob", **WORD), "not_running", "not_running"),
        (("stop", "archive"), 0, seen("bob", **WORD), "unknown_experiment", "unknown_experiment"),
        ((), 0, seen("bob", token="TOKEN"), "accepted", "duplicate"),
        (("pause",), 1, seen("bob", token="TOKEN"), "accepted", "duplicate"),
        (("stop",), 1, seen("bob", token="TOKEN"), "accepted", "duplicate"),
        (("stop", "archive"), 1, seen("bob", token="TOKEN"), "unknown_experiment", "unknown_experiment"),
        ((), 92, seen("bob", id="now", at_ms=NOW_MS + 92 * DAY_MS, token="TOKEN"), "token_expired", "token_expired"),
    ],
)
def test_an_event_in_any_state_is_counted_or_told_why_not(
    site: Site, installation: Installation, clock: SetClock,
    acts: tuple[str, ...], days: int, item: dict[str, Any], fate: str, again: str,
) -> None:
    tokens = {visitor: site.token(visitor) for visitor in ("ann", "bob")}
    site.fates(seen("ann", token=tokens["ann"]))
    before = count_rows(installation, "events")
    site.act(*acts)
    clock.advance(seconds=days * DAY_MS // 1000)
    if item["properties"].get("token"):
        item = {**item, "properties": {**item["properties"], "token": tokens["bob"]}}
    assert site.fates(item) == [fate]
    counted = site.counted("$exposures"), site.counted("purchase")
    is_bobs = int(fate == "accepted" and item["userId"] == "bob")
    is_an_order = int(fate == "accepted" and item["userId"] == "ann")
    assert counted == ((1 + is_bobs, 1 + is_bobs), (1 + is_bobs, is_an_order))
    assert site.fates(item) == [again]
    # What is told to be a duplicate is on disk, and nothing else is.
    assert count_rows(installation, "events") == before + (again == "duplicate")
    assert (site.counted("$exposures"), site.counted("purchase")) == counted
    assert verify(site.store) == []
