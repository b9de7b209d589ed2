"""A site's day through the published clients: the report says exactly what the site's own tally says."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.programs import Campaign
from tests.service.programs import campaign_in
from tests.service.programs import printed

#: Every visitor is decided on and reaches the slot; some buy, some of them twice, at prices that floats cannot hold.
_SITE = """
import json, os
from collections import defaultdict
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from segment.analytics import Client

address, key = os.environ["BESPOKE_ADDRESS"], os.environ["BESPOKE_SERVER_KEY"]
api.set_provider(OFREPProvider(address, headers_factory=lambda: {"Authorization": f"Bearer {key}"}))
letters = api.get_client()
analytics = Client(key, host=address)
tally = defaultdict(lambda: [0, 0, 0, 0])
for number in range(int(os.environ["VISITORS"])):
    visitor, orders = f"visitor-{number}", (number % 7 == 0) + (number % 11 == 0)
    context = EvaluationContext(visitor, {"womens": number % 3 == 0, "recency": number % 12, "first_name": "Zoë"})
    letter = letters.get_object_details("spring-mailing", {}, context)
    reached = {"experiment_id": "spring-mailing", "token": letter.flag_metadata["token"]}
    analytics.track(visitor, "Experiment Viewed", reached)
    for order in range(orders):
        analytics.track(visitor, "Order Completed", {"revenue": (1001 + number) / 100})
    row = tally[f"{letter.flag_metadata['segment']} {letter.variant}"]
    for place, more in enumerate((1, 1, orders > 0, orders * (1001 + number))):
        row[place] += more
analytics.shutdown()
print(json.dumps(tally))
"""

#: Everybody is evaluated early, as a prefetch does; the slot, with the hook of docs/clients.md, is reached by most.
_PYTHON = """
import json, os
from collections import Counter
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationOptions

provider = TrackingProvider(os.environ["BESPOKE_ADDRESS"], os.environ["BESPOKE_SERVER_KEY"])
api.set_provider(provider)
client, tally = api.get_client(), Counter()
at_the_slot = FlagEvaluationOptions(hooks=[SlotReached(provider)])
for number in range(150):
    visitor = EvaluationContext(f"visitor-{number}", {"womens": number % 2 == 0})
    client.get_object_details("spring-mailing", {}, visitor)
    if number < 120:
        letter = client.get_object_details("spring-mailing", {}, visitor, at_the_slot)
        tally[f"{letter.flag_metadata['segment']} {letter.variant}"] += 1
        client.track("Order Completed", visitor, TrackingEventDetails(2.5))
api.shutdown()
print(json.dumps(tally))
"""
_NODE = """
import { OpenFeature } from "@openfeature/server-sdk";

const provider = new TrackingProvider(process.env.BESPOKE_ADDRESS, process.env.BESPOKE_SERVER_KEY);
await OpenFeature.setProviderAndWait(provider);
const [client, tally] = [OpenFeature.getClient(), {}];
const atTheSlot = { hooks: [new SlotReached(provider)] };
for (let number = 0; number < 150; number++) {
  const visitor = { targetingKey: `visitor-${number}`, womens: number % 2 === 0 };
  await client.getObjectDetails("spring-mailing", {}, visitor);
  if (number < 120) {
    const { variant, flagMetadata } = await client.getObjectDetails("spring-mailing", {}, visitor, atTheSlot);
    const place = `${flagMetadata.segment} ${variant}`;
    tally[place] = (tally[place] ?? 0) + 1;
    client.track("Order Completed", visitor, { value: 2.5 });
  }
}
await OpenFeature.close();
console.log(JSON.stringify(tally));
"""


@pytest.fixture
def campaign(tmp_path: Path) -> Iterator[Campaign]:
    """The example on a server of its own."""
    with campaign_in(tmp_path) as campaign:
        yield campaign


@pytest.mark.parametrize("visitors", [400, pytest.param(2000, marks=pytest.mark.long)])
def test_the_report_equals_the_tally_of_all_visitors(campaign: Campaign, visitors: int) -> None:
    output = campaign.run("python", _SITE, VISITORS=str(visitors))
    tally = {tuple(place.split()): tuple(row) for place, row in json.loads(output).items()}
    counted = {place: (*row[:3], round(100 * row[3])) for place, row in campaign.counted().items()}
    assert counted == tally
    assert len(tally) == 5
    assert sum(row[0] for row in tally.values()) == visitors
    assert campaign.report()["diagnostics"]["sample_ratio"]["alarm"] is False
    campaign.verify()


@pytest.mark.parametrize(("language", "program"), [("python", _PYTHON), ("js", _NODE)])
def test_the_printed_hook_exposes_who_reaches_the_slot_in_every_arm_and_nobody_else(
    campaign: Campaign, language: str, program: str
) -> None:
    tracking = printed("docs/clients.md", language, "tracking", "hook")
    tally = json.loads(campaign.run(language, f"{tracking}\n{program}"))
    assert campaign.counted() == {tuple(place.split()): (n, n, n, 2.5 * n) for place, n in tally.items()}
    assert sum(tally.values()) == 120
    assert {"everyone-else nothing", "womens-shoppers nothing"} < tally.keys()
    campaign.verify()
