"""How many come without consent, counted without anybody's identity, and how far the report holds for them."""

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from experiments.privacy.consent_counts import counts_of
from experiments.reports import build_report
from experiments.verification import verify
from service.installation import Installation
from service.report.checks import checks
from tests.experiments.documents import spring_mailing
from tests.service.conftest import SetClock
from tests.service.conftest import bearer
from tests.service.conftest import count_rows
from tests.service.processes import Installed
from tests.service.processes import ServerProcess

EVALUATE = "/ofrep/v1/evaluate/flags/spring-mailing"
_DAY_SECONDS = 86_400


class Shop:
    """Visitors of a shop, with this or that consent."""

    def __init__(self, client: FlaskClient, keys: dict[str, str]) -> None:
        self._client, self._headers = client, bearer(keys["server"])

    def come(self, n: int, **context: Any) -> None:
        """So many evaluations, one by one."""
        for number in range(n):
            body = {"context": {"targetingKey": f"v{number}", **context}}
            assert self._client.post(EVALUATE, json=body, headers=self._headers).status_code == 200

    def post(self, path: str, body: Any) -> Any:
        """What is answered."""
        answer = self._client.post(path, json=body, headers=self._headers)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def buy(self, consent: str, *, n: int, every: int) -> None:
        """Expose visitors of the mass arm, of whom one in so many buys."""
        visitors = [{"id": f"{consent}-{number}", "consent": consent} for number in range(n)]
        listed = {"experiment": "spring-mailing", "visitors": visitors, "expose": True}
        items = [item for item in self.post("/v1/assignments", listed)["assignments"] if item["arm"] == "one-letter"]
        for item in items[::every]:
            order = {"userId": item["id"], "event": "Order Completed", "messageId": f"{item['id']}-1"}
            assert self.post("/v1/track", {**order, "context": {"consent": consent}})["accepted"] == 1


@pytest.fixture(name="shop")
def _shop(client: FlaskClient, keys: dict[str, str], running: dict[str, Any]) -> Shop:
    return Shop(client, keys)


def consent(installation: Installation, *, min_cell: int = 10) -> dict[str, Any]:
    """What the report says of it."""
    now_ms = installation.clock.now_ms()
    report = build_report(installation.store, "spring-mailing", now_ms=now_ms, min_cell=min_cell)
    return dict(report["diagnostics"]["consent"])


def words(installation: Installation) -> list[tuple[str, str, str]]:
    """What the page says of it."""
    now_ms = installation.clock.now_ms()
    report = build_report(installation.store, "spring-mailing", now_ms=now_ms, min_cell=10)
    return [(each.name, each.found, each.meaning) for each in checks(report) if "consent" in each.name]


@pytest.mark.every_database
def test_the_shares_by_consent_add_up_over_days_and_servers_and_name_nobody(
    shop: Shop, installation: Installation, clock: SetClock
) -> None:
    shop.come(12, womens=True)
    shop.come(4, consent="measure")
    installation.keep_consents()
    clock.advance(seconds=_DAY_SECONDS)
    shop.come(3, consent="none")
    shop.post("/v1/opt-outs", {"id": "v0"})
    shop.come(1)
    listed = [{"id": f"v{number}", "consent": "none"} for number in range(50, 60)]
    shop.post("/v1/assignments", {"experiment": "spring-mailing", "visitors": listed})
    shop.post("/ofrep/v1/evaluate/flags", {"context": {"targetingKey": "bob", "consent": "measure"}})
    installation.keep_consents()
    installation.keep_consents()
    found = consent(installation)
    assert {name: found[name] * 31 for name in ("personalise", "measure", "none")} == pytest.approx(
        {"personalise": 12, "measure": 5, "none": 14}
    )
    names = installation.store.read(lambda session: session.counters.of("spring-mailing"))
    assert sorted(names.values()) == [1, 4, 12, 14]
    assert all(name.split()[0] == "evaluations" and len(name.split()) == 3 for name in names)
    assert count_rows(installation, "exposures") == count_rows(installation, "events") == 0
    assert verify(installation.store) == []


def test_few_evaluations_have_no_shares(shop: Shop, installation: Installation) -> None:
    shop.come(9)
    installation.keep_consents()
    assert set(consent(installation).values()) == {None}
    assert words(installation) == []
    assert consent(installation, min_cell=0)["personalise"] == 1.0


def test_where_nobody_is_measured_only_nothing_is_claimed_for_those_without_consent(
    shop: Shop, installation: Installation
) -> None:
    shop.come(30)
    shop.come(10, consent="none")
    installation.keep_consents()
    assert consent(installation)["mass_when_measured"] is None
    [(_, found, meaning)] = words(installation)
    assert found == "25%"
    assert "cannot be told" in meaning


@pytest.mark.parametrize(("every", "says"), [(4, "about as well"), (1, "better"), (100, "worse")])
def test_those_who_are_measured_only_tell_how_far_the_figures_hold_for_others(
    shop: Shop, installation: Installation, every: int, says: str
) -> None:
    shop.buy("personalise", n=600, every=4)
    shop.buy("measure", n=400, every=every)
    installation.keep_consents()
    gap = consent(installation)["mass_when_measured"]
    assert gap["low"] < gap["mean"] < gap["high"]
    assert gap["mean"] == pytest.approx(1 / every - 1 / 4, abs=0.02)
    [(_, found, meaning)] = words(installation)
    assert found == "40%"
    assert says in meaning


def counted(installed: Installed) -> dict[str, int]:
    """Evaluations by consent, as they are kept."""
    with installed.beside() as installation:
        return counts_of(installation.store.read(lambda session: session.counters.of("spring-mailing")))


def test_a_server_that_ends_keeps_the_last_counts_and_a_mailing_is_counted(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    installed.run_experiment(spring_mailing())
    installed.done("assign", "spring-mailing", "-", stdin="visitor\n" + "\n".join(f"v{n}" for n in range(20)) + "\n")
    assert counted(installed) == {"personalise": 20, "measure": 0, "none": 0}
    server = ServerProcess(installed)
    key = installed.done("key", "create", "--scope", "server")
    for level in ("none", "none", "measure"):
        assert server.ask("POST", EVALUATE, {"context": {"targetingKey": "ann", "consent": level}}, key=key)[0] == 200
    assert server.end() == 0
    assert counted(installed) == {"personalise": 20, "measure": 1, "none": 2}
