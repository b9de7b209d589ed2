"""The review of segments over HTTP, by command, on its page, in reminders and in figures."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from service.config import load_config
from service.installation import Installation
from service.installation import open_installation
from service.operation.clock import AcceleratedClock
from service.operation.clock import SystemClock
from service.scheduler import Scheduler
from tests.experiments.documents import spring_mailing
from tests.experiments.house import DAY
from tests.experiments.house import House
from tests.service.conftest import NOW_MS
from tests.service.conftest import Run
from tests.service.conftest import SetClock
from tests.service.conftest import bearer
from tests.service.people import logged_in
from tests.service.processes import Installed
from tests.service.showroom import in_days
from tests.service.showroom import two_tastes
from tests.service.smtp import receiving

KEY, SEGMENT = "spring-mailing", "womens-shoppers"
ADDRESS = f"/v1/experiments/{KEY}/review"
MARK = f"/v1/experiments/{KEY}/segments/{SEGMENT}/review"
PAGE = f"/experiments/{KEY}/review"


def campaign(installation: Installation, *, days: int = 16, daily: int = 120) -> None:
    """A campaign whose women come less often, and like their letter less, from its middle on."""
    rng = np.random.default_rng(5)
    house = House(installation.store, now_ms=NOW_MS - days * DAY)
    house.start(in_days(two_tastes(policy={"kind": "fixed"}), 3))
    for day in range(days):
        house.now_ms, is_late, events = NOW_MS - (days - day) * DAY, day >= days // 2, []
        for number in range(daily):
            context = {"womens": True} if rng.random() < (0.15 if is_late else 0.5) else {}
            arm = house.evaluate(KEY, f"{day}-{number}", **context).assignment.arm
            events.append(house.exposure(KEY, f"{day}-{number}", **context))
            if rng.random() < (0.5 if arm == "womens-letter" and not is_late else 0.08):
                events.append(house.event(f"{day}-{number}", "Order Completed", revenue=30))
        house.record(*events)


def test_a_review_tells_by_http_by_command_and_by_page_what_moved(
    app: Flask, client: FlaskClient, keys: dict[str, str], installation: Installation, run: Run, tmp_path: Path
) -> None:
    campaign(installation)
    answer = client.get(ADDRESS, headers=bearer(keys["report"]))
    assert answer.status_code == 200
    found = answer.get_json()
    [mine] = [one for one in found["segments"] if one["segment"] == SEGMENT]
    assert [one["code"] for one in mine["findings"]] == ["share_moved", "effect_changed"]
    assert mine["effects"][0]["change"]["high"] < 0
    assert found["visitors"] == 16 * 120
    page = logged_in(app, installation, "viewer").open(PAGE)
    assert page.status_code == 200
    assert "Its share of the visitors is no longer what it was." in page.text
    assert "What womens-letter brings is no longer what it was." in page.text
    assert 'name="review_by"' not in page.text
    # The command opens the same file, at the time that it is.
    said = run("review", KEY, "--since", found["since"])
    assert said.status == 0, said.err
    assert "Its share of the visitors is no longer what it was." in said.out
    assert max(map(len, said.out.splitlines())) <= 100
    told = json.loads(run("review", KEY, "--format", "json", "--since", found["since"]).out)
    assert told["since"] == found["since"] and told["visitors"] == found["visitors"]


def test_the_report_leads_to_the_review(app: Flask, installation: Installation, running: dict[str, Any]) -> None:
    page = logged_in(app, installation, "viewer").open(f"/experiments/{KEY}")
    assert page.text.count(f'href="{PAGE}"') == 1


def test_whoever_has_looked_says_by_which_day_somebody_does_again(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any]
) -> None:
    answer = client.post(MARK, json={"review_by": "2099-01-31"}, headers=bearer(keys["admin"]))
    assert answer.status_code == 200
    reviewed = answer.get_json()
    assert (reviewed["segment"], reviewed["review_by"]) == (SEGMENT, "2099-01-31")
    [mine] = [
        one for one in client.get(ADDRESS, headers=bearer(keys["report"])).get_json()["segments"]
        if one["segment"] == SEGMENT
    ]
    assert mine["review_by"] == "2099-01-31"
    assert mine["last_review"] == {"at": reviewed["at"], "by": reviewed["by"]}
    log = client.get(f"/v1/audit?subject={KEY}", headers=bearer(keys["admin"])).get_json()["audit"]
    assert log[0]["action"] == "segment review" and log[0]["actor"] == reviewed["by"]
    # The document is as it was written.
    document = client.get(f"/v1/experiments/{KEY}", headers=bearer(keys["report"])).get_json()
    assert document["segments"][0]["review_by"] == "2027-03-01"


@pytest.mark.parametrize(("address", "body", "status", "code", "rule"), [
    (MARK, {"review_by": "2020-01-01"}, 422, "invalid_review", "'2020-01-01' must be after today"),
    (MARK, {"review_by": "soon"}, 422, "invalid_review", "'soon' must be a date like 2027-03-01"),
    (MARK, {}, 422, "invalid_review", "review_by: None must be a date"),
    (MARK, {"review_by": "2099-01-31", "by": "ann"}, 422, "invalid_review", "'by' must be review_by"),
    (MARK.replace(SEGMENT, "nobody"), {"review_by": "2099-01-31"}, 404, "unknown_segment", "'nobody' must be one of"),
    (MARK.replace(KEY, "nothing"), {"review_by": "2099-01-31"}, 404, "unknown_experiment", "'nothing' does not exist"),
])
def test_a_review_that_cannot_be_kept_says_why(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any], address: str, body: Any, status: int, code: str,
    rule: str,
) -> None:
    answer = client.post(address, json=body, headers=bearer(keys["admin"]))
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    assert rule in answer.get_json()["detail"]


def test_only_keys_that_may_change_things_say_that_somebody_looked(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any]
) -> None:
    for scope in ("client", "server", "report"):
        answer = client.post(MARK, json={"review_by": "2099-01-31"}, headers=bearer(keys[scope]))
        assert answer.status_code == 403
    assert client.get(ADDRESS, headers=bearer(keys["client"])).status_code == 403


def test_a_review_that_is_sent_again_under_its_key_is_kept_once(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any], clock: SetClock
) -> None:
    headers = {**bearer(keys["admin"]), "Idempotency-Key": "once"}
    first = client.post(MARK, json={"review_by": "2099-01-31"}, headers=headers)
    clock.advance(seconds=60)
    again = client.post(MARK, json={"review_by": "2099-01-31"}, headers=headers)
    assert again.headers["Idempotency-Replayed"] == "true" and again.get_json() == first.get_json()
    log = client.get(f"/v1/audit?subject={KEY}", headers=bearer(keys["admin"])).get_json()["audit"]
    assert [row["action"] for row in log].count("segment review") == 1


def test_an_editor_says_so_on_the_page_and_a_viewer_cannot(
    app: Flask, installation: Installation, running: dict[str, Any]
) -> None:
    ann = logged_in(app, installation, "editor")
    answer = ann.send(PAGE, on=PAGE, segment=SEGMENT, review_by="2099-01-31")
    assert answer.status_code == 303 and answer.location.endswith(f"{PAGE}#segment-{SEGMENT}")
    page = ann.open(PAGE).text
    assert "by 2099-01-31" in page and "by editor@shop.example" in page
    wrong = ann.send(PAGE, on=PAGE, segment=SEGMENT, review_by="2001-01-31")
    assert wrong.status_code == 422 and "must be after today" in wrong.text and 'value="2001-01-31"' in wrong.text
    viewer = logged_in(app, installation, "viewer")
    assert viewer.send(PAGE, on="/", segment=SEGMENT, review_by="2099-01-31").status_code == 403


def test_a_day_that_comes_is_told_on_the_first_page_and_in_figures(
    app: Flask, client: FlaskClient, keys: dict[str, str], installation: Installation, clock: SetClock
) -> None:
    document = spring_mailing()
    document["segments"][0]["review_by"] = str(np.datetime64(clock.at_ms + 10 * DAY, "ms").astype("datetime64[D]"))
    House(installation.store, now_ms=NOW_MS).start(document)
    installation.snapshots.refresh()
    text = client.get("/metrics", headers=bearer(keys["report"])).text
    alarms = dict(re.findall(rf'bespoke_alarm{{experiment="{KEY}",kind="(review\w*)"}} ([01])', text))
    assert alarms == {"review": "0", "review_soon": "1"}
    ann = logged_in(app, installation, "viewer")
    assert "The day to review comes soon for womens-shoppers." in ann.open("/").text
    assert client.post(MARK, json={"review_by": "2099-01-31"}, headers=bearer(keys["admin"])).status_code == 200
    assert "The day to review" not in ann.open("/").text


def test_rules_that_no_longer_part_anybody_are_told_by_the_newest_evaluations(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any]
) -> None:
    for number in range(100):
        context = {"targetingKey": f"v{number}", "recency": 3}
        answer = client.post(
            f"/ofrep/v1/evaluate/flags/{KEY}", json={"context": context}, headers=bearer(keys["client"])
        )
        assert answer.status_code == 200
    found = client.get(ADDRESS, headers=bearer(keys["report"])).get_json()
    [feed] = found["attributes"]
    assert (feed["attribute"], feed["standing"], feed["missing"]) == ("womens", "absent", 1.0)
    assert found["recent"]["none"] == 1.0
    assert found["segments"][0]["findings"] == [{"code": "attribute_absent", "names": ["womens"]}]


def test_schedulers_remind_once_between_them_by_e_mail(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    now_ms = SystemClock().now_ms()
    document = spring_mailing()
    document["segments"][0]["review_by"] = str(np.datetime64(now_ms + 20 * DAY, "ms").astype("datetime64[D]"))
    installed.run_experiment(document)
    with receiving() as relay:
        settings = {"BESPOKE_DIGEST_TO": "ann@shop.example", "BESPOKE_SMTP_URL": relay.url,
                    "BESPOKE_ADDRESS": "https://bespoke.example"}
        installations = [open_installation(load_config({**installed.settings, **settings})) for _ in range(2)]
        for days in (0, 5, 7, 8, 19, 21, 22, 40):
            for installation in installations:
                installation.clock = AcceleratedClock(now_ms, now_ms + days * DAY, rate=1)
                Scheduler(installation).tick()
        for installation in installations:
            installation.close()
    assert [message["Subject"] for message in relay.received] == ["Bespoke: 1 segment to review"] * 2
    first, second = (message.get_content() for message in relay.received)
    assert f"womens-shoppers of {KEY} is to be looked at by {document['segments'][0]['review_by']}" in first
    assert "its day was set to" in second
    assert f"https://bespoke.example{PAGE}" in first
