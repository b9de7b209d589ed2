"""GrowthBook's published SDKs against a real server: same arms, exposures by their own tracking plugins."""

import random
import secrets
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from growthbook import GrowthBook
from growthbook.plugins import growthbook_tracking_plugin

from experiments.audit import Deed
from experiments.counting import EXPOSURES
from experiments.keys import create_key
from experiments.lifecycle import act
from experiments.lifecycle import apply_document
from experiments.storage.cells import CellRow
from service.config import load_config
from service.installation import open_installation
from tests.experiments.documents import at_home
from tests.growthbook_clients import Evaluated
from tests.growthbook_clients import Node
from tests.growthbook_clients import Python
from tests.growthbook_clients import evaluated
from tests.service.processes import Installed
from tests.service.processes import ServerProcess
from tests.service.processes import wait_until

SHARES = {"letter": 0.2, "card": 0.3, "for-fans": 0.35, "for-two": 0.15}
LATER = {"letter": 0.7, "card": 0.1, "for-fans": 0.1, "for-two": 0.1}
KNOWN = [
    {}, {"womens": True, "tags": ["news"]}, {"recency": 7, "womens": False}, {"app": "2.1.0", "city": "Paris"},
    {"womens": True, "tags": ["a", 1, True], "app": "1.0.0", "city": "Köln", "recency": 0},
]


def document(key: str, shares: dict[str, float]) -> dict[str, Any]:
    return at_home(key=key, policy={"kind": "fixed", "max_step": 1, "shares": shares})


class Site:
    """A server, its keys, and the two SDKs that ask it."""

    def __init__(self, server: ServerProcess, keys: dict[str, str]) -> None:
        self.server = server
        self.keys = keys
        self.host = f"http://127.0.0.1:{server.port}"

    def payload(self) -> dict[str, Any]:
        """The payload as it stands."""
        status, payload = self.server.ask("GET", f"/api/features/{self.keys['client']}")
        assert status == 200
        return dict(payload)

    def evaluated_there(self, key: str, visitor: dict[str, Any]) -> tuple[str, float, int]:
        """Arm, propensity and epoch as the server answers."""
        context = {**visitor, "targetingKey": visitor["id"]}
        path = f"/ofrep/v1/evaluate/flags/{quote(key)}"
        status, answer = self.server.ask("POST", path, {"context": context}, key=self.keys["client"])
        assert status == 200
        return answer["variant"], answer["metadata"]["propensity"], answer["metadata"]["epoch"]

    def exposures(self, key: str) -> Counter[tuple[int, str, bool]]:
        """Exposures by epoch, arm, and whether they are kept apart."""
        found: Counter[tuple[int, str, bool]] = Counter()
        for row in self._cells(key):
            if row.key.metric == EXPOSURES:
                found[row.key.epoch, row.key.arm, row.key.asserted] += row.total
        return found

    def visits(self, key: str) -> int:
        """The outcomes that are counted."""
        return sum(row.total for row in self._cells(key) if row.key.metric == "visits")

    def _cells(self, key: str) -> list[CellRow]:
        beside = open_installation(load_config(self.server.installed.settings))
        cells = beside.store.read(lambda session: session.cells.of(key))
        beside.close()
        return cells

    def publish(self, key: str, shares: dict[str, float]) -> None:
        """Publish an epoch."""
        status, _ = self.server.ask("PUT", f"/v1/experiments/{key}", document(key, shares), key=self.keys["admin"])
        assert status == 200

    def visit_in_python(self, attributes: dict[str, Any], keys: list[str], events: list[Any]) -> dict[str, Evaluated]:
        """What the program that `tests/clients/node/growthbook.mjs` runs in JavaScript does, in Python."""
        growthbook = GrowthBook(
            api_host=self.host, client_key=self.keys["client"], cache_ttl=0, attributes=attributes,
            plugins=[growthbook_tracking_plugin(ingestor_host=self.host, batch_size=len(keys) * 2 + len(events))],
        )
        growthbook.load_features()
        found = evaluated(growthbook, attributes, keys)
        for name, properties in events:
            growthbook.log_event(name, properties)
        growthbook.destroy()
        return found


@pytest.fixture(name="site", scope="module")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    installed = Installed(tmp_path_factory.mktemp("site"))
    with installed.opened() as installation:
        deed = Deed("test", installation.clock.now_ms())
        for key, shares in (("first", SHARES), ("second", LATER), ("third", SHARES)):
            apply_document(installation.store, document(key, shares), deed=deed)
            act(installation.store, key, "start", deed=deed)
        keys = {
            scope: create_key(
                installation.store, scope=scope, name="", origins=(), random=secrets.token_bytes, deed=deed
            )
            for scope in ("client", "admin")
        }
    site = Site(ServerProcess(installed), keys)
    yield site
    site.server.end()


def test_both_sdks_agree_with_the_server_about_every_visitor(site: Site, node: Node) -> None:
    rng = random.Random(17)
    visitors = [{"id": f"ü-{number}", **rng.choice(KNOWN)} for number in range(200)]
    payload = site.payload()
    in_javascript, in_python = node.features(payload, visitors), Python().features(payload, visitors)
    for visitor, here, there in zip(visitors, in_javascript, in_python, strict=True):
        for key in ("first", "second"):
            assert here[key] == there[key]
            assert (here[key].arm, here[key].propensity, here[key].epoch) == site.evaluated_there(key, visitor)


def test_tracking_plugins_report_under_the_epoch_in_which_they_drew(site: Site, node: Node) -> None:
    keys, events = ["first", "second"], [("Page Viewed", {"path": "/"})]
    expected: dict[str, Counter[tuple[int, str, bool]]] = {key: Counter() for key in keys}
    for epoch, shares in ((1, SHARES), (2, LATER)):
        if epoch == 2:
            site.publish("first", shares)
        for number, known in enumerate(KNOWN * 2):
            attributes = {"id": f"v{epoch}-{number}", **known}
            if number % 2:
                found = site.visit_in_python(attributes, keys, events)
            else:
                there = node.ask(
                    "visit", host=site.host, clientKey=site.keys["client"], attributes=attributes, keys=keys,
                    events=events,
                )
                found = {key: Evaluated(**one) for key, one in there.items()}
            for key in keys:
                assert found[key].epoch == (epoch if key == "first" else 1)
                expected[key][found[key].epoch or 0, found[key].arm or "", False] += 1
    wait_until(lambda: site.exposures("second").total() == 20, what="the plugins have posted")
    assert {key: site.exposures(key) for key in keys} == expected
    assert {epoch for epoch, _, _ in expected["first"]} == {1, 2}
    assert site.visits("first") == 20
    site.server.installed.check()


def test_what_was_drawn_before_the_epoch_changed_is_counted_under_it(site: Site, node: Node) -> None:
    visitors = [{"id": f"late-{number}", **KNOWN[number % 5]} for number in range(150)]
    drawn = [each["third"] for each in node.features(site.payload(), visitors)]
    site.publish("third", LATER)
    now = [each["third"] for each in node.features(site.payload(), visitors)]
    assert sum(then.arm != today.arm for then, today in zip(drawn, now, strict=True)) > 30
    batch = [
        {
            "event_name": "Experiment Viewed", "device_id": visitor["id"],
            "context_json": {name: value for name, value in visitor.items() if name != "id"},
            "properties_json": {
                "experimentId": f"third@{each.epoch}", "variationId": each.arm, "hashAttribute": "id",
                "hashValue": visitor["id"],
            },
        }
        for visitor, each in zip(visitors, drawn, strict=True)
    ]
    status, answer = site.server.ask("POST", f"/track?client_key={site.keys['client']}", batch)
    assert (status, answer["accepted"]) == (200, 150)
    assert site.exposures("third") == Counter((1, each.arm, False) for each in drawn)
    site.server.installed.check()
