"""The digest: handed to a real SMTP server, once for each slot, and readable in text and in HTML."""

import re
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from experiments.counting import EXPOSURES
from experiments.digests import claim_digest
from experiments.digests import digest_slot
from experiments.errors import InvalidSetting
from experiments.storage.cells import CellKey
from experiments.times import DAY_MS
from experiments.times import day_of
from service.config import config_lines
from service.config import load_config
from service.installation import Installation
from service.installation import open_installation
from service.mail.relay import parse_relay
from service.operation.clock import AcceleratedClock
from service.operation.clock import SystemClock
from service.people.links import read_link
from service.scheduler import Scheduler
from tests.experiments.documents import spring_mailing
from tests.service.conftest import NOW_MS
from tests.service.conftest import Run
from tests.service.processes import Installed
from tests.service.processes import wait_until
from tests.service.smtp import receiving

KEY = "spring-mailing"


def count_campaign(installation: Installation) -> None:
    """Visitors of a campaign that tailoring wins, in its cells alone."""
    day, conversions = day_of(NOW_MS) - 1, {"nothing": 5, "one-letter": 100, "womens-letter": 320}
    cells = {
        CellKey(KEY, 1, day, "womens-shoppers", arm, False, metric): (2000, n, float(n))
        for arm, converted in conversions.items()
        for metric, n in {"purchase": converted, EXPOSURES: 2000, "$profit": 0}.items()
    }
    installation.store.transact(lambda session: session.cells.add(cells))


def part(message: EmailMessage, kind: str) -> Any:
    return next(one for one in message.walk() if one.get_content_type() == kind)


def test_a_command_sends_verdict_calls_chart_and_a_link_that_opens(
    started: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with receiving() as relay:
        monkeypatch.setenv("BESPOKE_SMTP_URL", relay.url)
        monkeypatch.setenv("BESPOKE_ADDRESS", "https://bespoke.example/")
        installation = open_installation(load_config(dict(BESPOKE_DATABASE_URL=f"sqlite:///{tmp_path}/bespoke.db")))
        count_campaign(installation)
        said = started("digest", KEY, "--to", "ann@shop.example", "--to", "bob@shop.example")
    assert (said.status, said.out) == (0, "sent to ann@shop.example, bob@shop.example\n"), said.err
    (message,) = relay.received
    assert message["To"] == "ann@shop.example, bob@shop.example"
    assert message["Subject"].startswith("Bespoke: 1 campaign")
    text, page = part(message, "text/plain").get_content(), part(message, "text/html").get_content()
    for body in (text, page):
        assert "Tailor for womens-shoppers" in body
        assert "Send womens-letter instead of one-letter." in body
    link = re.search(r"https://bespoke\.example/experiments/spring-mailing\?link=(\S+)", text)
    assert link and link[0] in page
    assert read_link(link[1], KEY, now_ms=installation.clock.now_ms(), keyring=installation.keyring)
    installation.close()
    image = part(message, "image/png")
    assert image.get_content().startswith(b"\x89PNG")
    assert f"cid:{image['Content-ID'].strip('<>')}" in page


def test_a_dry_run_prints_and_sends_nothing(started: Run) -> None:
    said = started("digest", "--all", "--dry-run")
    assert said.status == 0
    assert "Nobody has been exposed yet." in said.out
    assert "Subject: Bespoke: 1 campaign" in said.out


@pytest.mark.parametrize(("arguments", "status", "rule"), [
    ((KEY,), 1, "BESPOKE_DIGEST_TO"),
    (("nobody", "--to", "ann@shop.example"), 1, "'nobody' does not exist"),
    ((KEY, "--to", "no address"), 1, "must be like ann@shop.example"),
    ((KEY, "--all"), 2, "take --all"),
    ((), 2, "take --all"),
])
def test_what_cannot_be_sent_is_refused(started: Run, arguments: tuple[str, ...], status: int, rule: str) -> None:
    said = started("digest", *arguments)
    assert (said.status, rule in said.err) == (status, True), said.err


def test_a_relay_that_refuses_is_told_without_its_password(started: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(refuses=True) as relay:
        monkeypatch.setenv("BESPOKE_SMTP_URL", relay.url)
        said = started("digest", KEY, "--to", "ann@shop.example")
    assert (said.status, "did not take the e-mail" in said.err, relay.received) == (1, True, [])
    # This relay offers no TLS, and a password is told to nobody in the clear.
    with receiving() as relay:
        monkeypatch.setenv("BESPOKE_SMTP_URL", relay.url.replace("smtp://", "smtp://ann:a-secret@"))
        said = started("digest", KEY, "--to", "ann@shop.example")
    assert (said.status, "a-secret" in said.err, relay.received) == (1, False, [])


def test_schedulers_send_one_digest_a_day_between_them(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    installed.run_experiment(spring_mailing())
    with receiving() as relay:
        settings = {"BESPOKE_DIGEST": "daily", "BESPOKE_DIGEST_TO": "ann@shop.example", "BESPOKE_SMTP_URL": relay.url}
        installed.environ |= settings
        schedulers = [installed.start("scheduler") for _ in range(2)]
        wait_until(lambda: bool(relay.received), what="a digest has come")
        installation = open_installation(load_config({**installed.settings, **settings}))
        for hours in (0, 1, 24, 24, 25):
            now_ms = (NOW_MS // DAY_MS + 10_000) * DAY_MS + hours * 3_600_000 + 8 * 3_600_000
            installation.clock = AcceleratedClock(SystemClock().now_ms(), now_ms, rate=1)
            Scheduler(installation).tick()
        installation.close()
        for scheduler in schedulers:
            scheduler.terminate()
        assert [scheduler.wait(20) for scheduler in schedulers] == [0, 0]
    digests = [message for message in relay.received if "campaign" in message["Subject"]]
    assert len(digests) == 3


@pytest.mark.parametrize(("at", "daily", "weekly"), [
    (0, -1, -1), (7, 0, -1), (4 * 24 + 6, 3, -1), (4 * 24 + 7, 4, 0), (11 * 24 + 6, 10, 0), (11 * 24 + 7, 11, 1),
])
def test_slots_come_at_seven_and_weeks_on_mondays(at: int, daily: int, weekly: int) -> None:
    now_ms = at * 3_600_000
    assert (digest_slot("daily", now_ms=now_ms).number, digest_slot("weekly", now_ms=now_ms).number) == (daily, weekly)


def test_a_slot_is_claimed_once_and_none_before_it(installation: Installation) -> None:
    slots = [digest_slot("daily", now_ms=NOW_MS + days * DAY_MS) for days in (0, 0, 2, 1, 3)]
    claimed = [claim_digest(installation.store, slot, now_ms=NOW_MS) for slot in slots]
    assert claimed == [True, False, True, False, True]


@pytest.mark.parametrize("text", ["", "localhost", "http://a", "smtp://", "smtp://a/b", "smtp://a:x", "smtp://a:99999"])
def test_what_is_no_relay_stops_the_start_and_shows_no_secret(text: str) -> None:
    with pytest.raises(InvalidSetting, match=r"BESPOKE_SMTP_URL: \(hidden\)"):
        load_config({"BESPOKE_SMTP_URL": text})


def test_a_relay_is_read_with_its_user_and_hidden_where_settings_are_shown() -> None:
    relay = parse_relay("smtp://ann%40shop.example:p%3Aw@mail.example:587")
    assert relay == ("smtp", "mail.example", 587, "ann@shop.example", "p:w")
    lines = config_lines(load_config({"BESPOKE_SMTP_URL": "smtp://ann:a-secret@mail.example"}))
    assert "a-secret" not in "\n".join(lines)


@pytest.mark.parametrize("settings", [
    {"BESPOKE_DIGEST": "daily"}, {"BESPOKE_DIGEST": "hourly"}, {"BESPOKE_DIGEST_TO": "ann"},
    {"BESPOKE_ADDRESS": "ftp://x"},
    {"BESPOKE_DIGEST": "weekly", "BESPOKE_DIGEST_TO": "ann@shop.example"},
])
def test_settings_that_make_no_digest_stop_the_start(settings: dict[str, str]) -> None:
    with pytest.raises(InvalidSetting, match=next(reversed(settings)) if len(settings) == 1 else "BESPOKE_DIGEST"):
        load_config(settings)
