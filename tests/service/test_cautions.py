"""What the service does out of caution stands on every page and in the digest, until a person takes it back."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from experiments.acts import do
from experiments.lifecycle import create
from service.installation import Installation
from service.mail.digest import digest
from tests.experiments.documents import tiny
from tests.experiments.house import bar
from tests.service.conftest import DEED
from tests.service.conftest import bearer
from tests.service.people import Someone
from tests.service.people import logged_in

KEY = "tiny"
_TWO = [{"key": "one", "role": "mass"}, {"key": "other", "role": "mass"}]
_RAIL = {"key": "complaint", "event": "Complained", "kind": "conversion", "role": "guardrail", "limit": 0.02}
_SAID = (
    "The service froze the weights. Outcomes may be forged: in everyone-else, far more of the goals are told of by "
    "client keys for other than for one"
)
PAGES = ("/", f"/experiments/{KEY}", f"/experiments/{KEY}/ledger", f"/experiments/{KEY}/actions")


class Desk:
    """A campaign, with a key that stands in a web page and one that may do everything."""

    def __init__(self, client: FlaskClient, keys: dict[str, str], installation: Installation) -> None:
        self._client, self._keys, self.installation = client, keys, installation
        document = tiny(arms=_TWO, policy={"kind": "thompson"})
        document["metrics"].append({**_RAIL, "direction": "decrease"})
        create(installation.store, document, deed=DEED)
        do(installation.store, KEY, "start", deed=DEED)
        installation.snapshots.refresh()

    def post(self, path: str, body: Any, *, scope: str) -> Any:
        """What is answered."""
        answer = self._client.post(path, json=body, headers=bearer(self._keys[scope]))
        assert answer.status_code == 200, answer.text
        return answer.json

    def forge(self, visitors: int) -> None:
        """With the key from the web page, sign up whoever is given the other arm, at once."""
        names = [f"forged-{number}" for number in range(visitors)]
        shown = {name: self._evaluate(name) for name in names}
        calls = [self._call(name, "Experiment Viewed", experiment_id=KEY, token=shown[name]["metadata"]["token"])
                 for name in names]
        calls += [self._call(name, "Signed Up") for name in names if shown[name]["variant"] == "other"]
        assert self.post("/v1/batch", {"batch": calls}, scope="client")["rejected"] == 0

    def _evaluate(self, name: str) -> Any:
        body = {"context": {"targetingKey": name}}
        return self.post(f"/ofrep/v1/evaluate/flags/{KEY}", body, scope="client")

    def _call(self, name: str, event: str, **properties: Any) -> dict[str, Any]:
        call = {"type": "track", "userId": name, "event": event, "properties": properties}
        return {**call, "messageId": f"{event} {name}"}

    def serve(self, visitors: int) -> None:
        """Customers of whom a server tells: as many sign up of either arm."""
        names = [f"customer-{number}" for number in range(visitors)]
        arms = {name: self._evaluate(name)["variant"] for name in names}
        calls = [self._call(name, "Experiment Viewed", experiment_id=KEY, variation_id=arms[name]) for name in names]
        calls += [self._call(name, "Signed Up") for name in names[::4]]
        assert self.post("/v1/batch", {"batch": calls}, scope="server")["rejected"] == 0

    def reallocate(self) -> Any:
        """One reallocation now."""
        return self.post(f"/v1/experiments/{KEY}/reallocate", {}, scope="admin")


@pytest.fixture(name="desk")
def _desk(client: FlaskClient, keys: dict[str, str], installation: Installation) -> Desk:
    return Desk(client, keys, installation)


def _text(installation: Installation) -> str:
    message = digest(installation, [KEY], recipients=["ann@shop.example"])
    assert "1 in need of attention" in message["Subject"]
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def _pages(someone: Someone) -> list[str]:
    return [someone.open(path).text for path in PAGES]


def test_forged_outcomes_freeze_the_weights_and_everybody_is_told(app: Flask, desk: Desk) -> None:
    desk.serve(400)
    desk.forge(160)
    row = desk.reallocate()
    assert (row["act"], row["actor"], row["frozen"]) == ("freeze", "service", True)
    editor = logged_in(app, desk.installation, "editor")
    for page in (*_pages(editor), _text(desk.installation)):
        assert _SAID in page
    assert "Weights frozen" in editor.open(PAGES[2]).text and "the service" in editor.open(PAGES[2]).text
    place = f"{PAGES[3]}/unfreeze"
    assert editor.send(place, on=place, reason="").status_code == 422
    assert editor.send(place, on=place, reason="They were our own tests.").status_code == 303
    assert not any(_SAID in page for page in _pages(editor)[:2])
    assert desk.reallocate()["act"] == "reallocate"


def test_without_forged_outcomes_weights_move(desk: Desk) -> None:
    desk.serve(240)
    assert desk.reallocate()["act"] == "reallocate"


def test_a_message_that_lost_its_traffic_is_told_of_on_every_page_until_it_is_let_back_in(
    app: Flask, desk: Desk
) -> None:
    bar(desk.installation.store, KEY, arm="other", metric="complaint", now_ms=DEED.now_ms)
    editor = logged_in(app, desk.installation, "editor")
    told = ("A message lost its traffic for breaking a limit", "other lost its traffic to the one message")
    for page in (*_pages(editor), _text(desk.installation)):
        assert any(text in page for text in told)
    place = f"{PAGES[3]}/unbar"
    assert editor.send(place, on=place, reason="The list was wrong.").status_code == 303
    assert not any(text in page for text in told for page in _pages(editor)[:2])
