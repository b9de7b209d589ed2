"""Published clients when the server is away or refuses: nothing is lost, nothing counts twice, nobody asks for ever."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.programs import Campaign
from tests.service.programs import campaign_in
from tests.service.programs import finished

_PYTHON = """
import os, pathlib, time
from %s.analytics import Client

def fail(error, batch):
    raise SystemExit(f"{error}: {batch}")

client = Client(os.environ["BESPOKE_SERVER_KEY"], host=os.environ["BESPOKE_ADDRESS"], on_error=fail, upload_size=20)
reached = {"experiment_id": "spring-mailing", "token": os.environ["TOKEN"]}
sent = 0
while not os.path.exists(os.environ["BACK"]):
    client.track(os.environ["VISITOR"], "Experiment Viewed", reached)
    sent += 1
    print(sent, flush=True)
    time.sleep(0.005)
client.shutdown()
"""

_NODE = """
import { existsSync } from "node:fs";
import { Analytics } from "@segment/analytics-node";

const { BESPOKE_ADDRESS: host, BESPOKE_SERVER_KEY: writeKey, VISITOR: userId, TOKEN: token, BACK } = process.env;
const analytics = new Analytics({ writeKey, host, flushInterval: 500 });
analytics.on("error", (error) => { throw error; });
const properties = { experiment_id: "spring-mailing", token };
for (let sent = 1; !existsSync(BACK); sent++) {
  analytics.track({ userId, event: "Experiment Viewed", properties });
  console.log(sent);
  await new Promise((resolve) => setTimeout(resolve, 5));
}
await analytics.closeAndFlush();
"""

_REFUSED_PYTHON = """
import os
from %s.analytics import Client

def tell(error, batch):
    print(error.status, error.code, error.message, len(batch))

client = Client("no-such-key", host=os.environ["BESPOKE_ADDRESS"], on_error=tell)
for number in range(3):
    client.track("ann", "Order Completed", {"revenue": number})
client.shutdown()
"""

_REFUSED_NODE = """
import { Analytics } from "@segment/analytics-node";

const analytics = new Analytics({ writeKey: "no-such-key", host: process.env.BESPOKE_ADDRESS });
analytics.on("error", ({ reason }) => console.log(reason.message));
for (let number = 0; number < 3; number++) {
  analytics.track({ userId: "ann", event: "Order Completed", properties: { revenue: number } });
}
await analytics.closeAndFlush();
"""

PROGRAMS = {
    "segment": ("python", _PYTHON % "segment"),
    "rudderstack": ("python", _PYTHON % "rudderstack"),
    "analytics-node": ("js", _NODE),
}
REFUSED = [
    ("python", _REFUSED_PYTHON % "segment", ["401 unauthorized the key is unknown or revoked 3"]),
    ("python", _REFUSED_PYTHON % "rudderstack", ["401 unauthorized the key is unknown or revoked 3"]),
    ("js", _REFUSED_NODE, ["[401] Unauthorized"] * 3),
]


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    """The example on a server that all clients share."""
    with campaign_in(tmp_path_factory.mktemp("campaign")) as campaign:
        yield campaign


def test_what_clients_hold_while_the_server_is_killed_arrives_once(campaign: Campaign, tmp_path: Path) -> None:
    back = tmp_path / "back"
    tokens = {client: campaign.evaluate(client)["metadata"]["token"] for client in PROGRAMS}
    processes = {
        client: campaign.start(*program, VISITOR=client, TOKEN=tokens[client], BACK=str(back))
        for client, program in PROGRAMS.items()
    }
    for process in processes.values():
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(150)][-1] == "150\n"
    campaign.server.kill_everything()
    campaign.server.start()
    back.touch()
    sent = [int(finished(process).split()[-1]) for process in processes.values()]
    visitors, exposures, *_ = map(sum, zip(*campaign.counted().values(), strict=True))
    assert (visitors, exposures) == (len(PROGRAMS), sum(sent))
    campaign.verify()


@pytest.mark.parametrize(("language", "program", "told"), REFUSED)
def test_a_client_whose_key_is_unknown_is_told_and_gives_up(
    campaign: Campaign, language: str, program: str, told: list[str]
) -> None:
    output = campaign.run(language, program).splitlines()
    assert output == told
