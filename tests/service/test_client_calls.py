"""Every call of the published clients of Segment's protocol: what counts is counted, nothing is taken for a fault."""

from collections.abc import Iterator
from datetime import datetime
from datetime import timedelta

import pytest

from tests.service.programs import KEY
from tests.service.programs import Campaign
from tests.service.programs import campaign_in

_PYTHON = """
import os
from datetime import datetime, timedelta, timezone
from %s.analytics import Client

def fail(error, batch):
    raise SystemExit(f"{error}: {batch}")

client = Client(os.environ["BESPOKE_CLIENT_KEY"], host=os.environ["BESPOKE_ADDRESS"], on_error=fail)
now = datetime.now(timezone.utc)
for visitor, who in (("KNOWN", "user_id"), ("UNKNOWN", "anonymous_id")):
    by = {who: os.environ[visitor]}
    reached = {"experiment_id": "spring-mailing", "token": os.environ[visitor + "_TOKEN"]}
    client.identify(**by, traits={"email": "ann@example.com", "age": 33})
    client.track(**by, event="Experiment Viewed", properties=reached, timestamp=now - timedelta(hours=2))
    client.page(**by, category="Shop", name="Home", properties={"path": "/"})
    client.screen(**by, name="Home")
    client.group(**by, group_id="shoppers", traits={"size": 2})
    client.track(**by, event="Order Completed", properties={"revenue": 10}, message_id=7, timestamp=datetime.now())
    client.track(
        **by, event="Order Completed", properties={"revenue": 0.5, "items": [{"id": 1}]}, message_id="o-2",
        timestamp=now.astimezone(timezone(timedelta(hours=-9))), context={"ip": "127.0.0.1", "consent": {"a": True}},
        integrations={"All": False},
    )
client.alias(os.environ["UNKNOWN"], os.environ["KNOWN"])
client.shutdown()
"""

_NODE = """
import { Analytics } from "@segment/analytics-node";

const { BESPOKE_ADDRESS: host, BESPOKE_CLIENT_KEY: writeKey, KNOWN, KNOWN_TOKEN, UNKNOWN, UNKNOWN_TOKEN } = process.env;
const analytics = new Analytics({ writeKey, host });
analytics.on("error", (error) => { throw error; });
const twoHoursAgo = new Date(Date.now() - 7200000);
for (const [by, token] of [[{ userId: KNOWN }, KNOWN_TOKEN], [{ anonymousId: UNKNOWN }, UNKNOWN_TOKEN]]) {
  const properties = { experiment_id: "spring-mailing", token };
  analytics.identify({ ...by, traits: { email: "ann@example.com", age: 33 } });
  analytics.track({ ...by, event: "Experiment Viewed", properties, timestamp: twoHoursAgo });
  analytics.page({ ...by, category: "Shop", name: "Home", properties: { path: "/" } });
  analytics.screen({ ...by, name: "Home" });
  analytics.group({ ...by, groupId: "shoppers", traits: { size: 2 } });
  const timestamp = new Date().toISOString();
  analytics.track({ ...by, event: "Order Completed", properties: { revenue: 10 }, timestamp });
  analytics.track({
    ...by, event: "Order Completed", properties: { revenue: 0.5, items: [{ id: 1 }] }, messageId: "o-2",
    context: { ip: "127.0.0.1", consent: { a: true } }, integrations: { All: false },
  });
}
analytics.alias({ previousId: UNKNOWN, userId: KNOWN });
await analytics.closeAndFlush();
"""

#: A machine whose clock is three hours behind, for all that the client knows.
_LATE_NODE = """
import { Analytics } from "@segment/analytics-node";

const RightDate = Date;
globalThis.Date = class extends RightDate {
  constructor(...given) {
    super(...(given.length ? given : [RightDate.now() - 3 * 3600000]));
  }
};
const analytics = new Analytics({ writeKey: process.env.BESPOKE_CLIENT_KEY, host: process.env.BESPOKE_ADDRESS });
analytics.on("http_request", ({ body }) => console.log(JSON.parse(body).sentAt));
analytics.track({ userId: "late", event: "Order Completed", properties: { revenue: 10 } });
await analytics.closeAndFlush();
"""

PROGRAMS = {
    "segment": ("python", _PYTHON % "segment"),
    "rudderstack": ("python", _PYTHON % "rudderstack"),
    "analytics-node": ("js", _NODE),
}


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    """The example on a server that all clients share."""
    with campaign_in(tmp_path_factory.mktemp("campaign")) as campaign:
        yield campaign


def totals(campaign: Campaign) -> dict[str, float]:
    """The figures of the whole campaign."""
    report = campaign.report()
    metrics = [row["metrics"] for row in report["arms"]]
    sums = {key: sum(metric[key]["sum"] for metric in metrics) for key in ("purchase", "spend", "visits")}
    visitors = {key: sum(row[key] for row in report["arms"]) for key in ("visitors", "exposures")}
    return {**visitors, **sums, **{key: report["diagnostics"][key] for key in ("duplicates", "rejected", "waiting")}}


@pytest.mark.parametrize("client", PROGRAMS)
def test_every_call_of_a_client_is_understood(campaign: Campaign, client: str) -> None:
    before = totals(campaign)
    visitors = {"KNOWN": f"{client}-ann", "UNKNOWN": f"{client}-1f0e"}
    tokens = {f"{name}_TOKEN": campaign.evaluate(id)["metadata"]["token"] for name, id in visitors.items()}
    campaign.run(*PROGRAMS[client], **visitors, **tokens)
    after = totals(campaign)
    assert {name: round(after[name] - before[name], 2) for name in after} == {
        "visitors": 2, "exposures": 2, "purchase": 2, "spend": 21, "visits": 2,
        "duplicates": 0, "rejected": 0, "waiting": 0,
    }
    campaign.verify()


def test_an_order_from_a_machine_whose_clock_is_behind_comes_after_its_exposure(campaign: Campaign) -> None:
    token = campaign.evaluate("late")["metadata"]["token"]
    reached = {"userId": "late", "event": "Experiment Viewed", "properties": {"experiment_id": KEY, "token": token}}
    assert campaign.server.ask("POST", "/v1/track", reached, key=campaign.keys["client"])[0] == 200
    before = totals(campaign)
    sent_at = datetime.fromisoformat(campaign.run("js", _LATE_NODE).strip())
    assert datetime.fromisoformat(campaign.report()["as_of"]) - sent_at > timedelta(hours=2)
    after = totals(campaign)
    assert (after["purchase"] - before["purchase"], after["rejected"] - before["rejected"]) == (1, 0)
