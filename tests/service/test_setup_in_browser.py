"""A marketer sets a campaign up in a real Chromium, at the real server, with and without scripts."""

import re
from typing import Any

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import expect

from experiments.lifecycle import find
from service.config import load_config
from service.installation import open_installation
from tests.experiments.documents import at_home
from tests.experiments.documents import spring_mailing
from tests.experiments.wide import fifty_segments
from tests.service.browsers import field
from tests.service.browsers import fill
from tests.service.browsers import go_on
from tests.service.browsers import log_in
from tests.service.browsers import opened
from tests.service.browsers import press
from tests.service.processes import ServerProcess

pytestmark = pytest.mark.browser

EMAIL = "editor@shop.example"


def document(server: ServerProcess, key: str) -> dict[str, Any]:
    """What is stored, seen from beside the server."""
    beside = open_installation(load_config(server.installed.settings))
    try:
        return dict(beside.store.read(lambda session: find(session, key)).document)
    finally:
        beside.close()


@pytest.mark.parametrize("scripts", [False, True], ids=["without scripts", "with scripts"])
def test_the_example_is_set_up_by_the_form_alone(
    chromium: Browser, server: ServerProcess, address: str, scripts: bool
) -> None:
    key = "with-scripts" if scripts else "without-scripts"
    wanted = spring_mailing(key=key)
    with opened(chromium, f"{address}/new", java_script_enabled=scripts) as page:
        log_in(page, email=EMAIL)
        page.get_by_label("Name").fill(wanted["name"])
        fill(page, {
            "key": key, "hypothesis": wanted["hypothesis"], "objective": "conversion", "currency": "EUR",
            "audience": "64000",
        })
        go_on(page, "Who gets what")
        for index, (name, type_) in enumerate(wanted["attributes"].items()):
            press(page, "Add an attribute")
            expect(field(page, f"attributes[{index}].name")).to_be_visible()
            fill(page, {f"attributes[{index}].name": name, f"attributes[{index}].value": type_})
        press(page, "Add a segment")
        if scripts:
            expect(field(page, "segments[0].name")).to_be_focused()
        fill(page, {
            "segments[0].name": "Bought women's clothing", "segments[0].key": "womens-shoppers",
            "segments[0].kind": "behavioral", "segments[0].rule.rows[0].attribute": "womens",
            "segments[0].rule.rows[0].value": "true", "segments[0].review_by": "2027-03-01",
        })
        go_on(page, "The messages")
        press(page, "Add a message")
        expect(field(page, "arms[2].key")).to_be_visible()
        fill(page, {
            "arms[1].message[0].value": "Spring is here", "arms[1].cost_per_exposure": "0.02",
            "arms[1].message[1].value": "Hello {{ first_name | default: 'there' }}", "arms[1].fixed_cost": "150",
            "arms[2].key": "womens-letter", "arms[2].channel": "email", "arms[2].message[0].value": "New in women's",
            "arms[2].message[1].value": "…", "arms[2].cost_per_exposure": "0.02", "arms[2].fixed_cost": "400",
        })
        page.get_by_label("womens-shoppers").check()
        page.get_by_label("first_name", exact=True).fill("Ann")
        if not scripts:
            press(page, "Preview")
        expect(page.locator("#preview")).to_contain_text("Hello Ann")
        go_on(page, "What counts")
        for index in range(1, 5):
            press(page, "Add a metric")
            expect(field(page, f"metrics[{index}].event")).to_be_visible()
        for index, metric in enumerate(wanted["metrics"]):
            fill(page, {f"metrics[{index}].window": "", **{
                f"metrics[{index}].{name}": str(value) for name, value in metric.items()
            }})
        go_on(page, "How traffic is shared out")
        expect(field(page, "policy.kind")).to_have_value("thompson")
        fill(page, {"policy.every": "1h", "policy.min_share": "5", "policy.burn_in": "100", "policy.max_step": "25"})
        go_on(page, "Check and finish")
        expect(page.get_by_text("Everything fits together")).to_be_visible()
        expect(page.get_by_text("womens is true.")).to_be_visible()
        assert document(server, key) == wanted
        page.get_by_role("link", name="Go to the pre-flight").click()
        page.get_by_label("How long would it run?").fill("10")
        press(page, "Simulate the campaign")
        expect(page.get_by_text("How sure is it?")).to_be_visible()
        press(page, "Start the campaign")
        expect(page).to_have_url(f"{address}/experiments/{key}")


def test_errors_stand_beside_their_fields_and_the_focus_goes_to_their_summary(
    chromium: Browser, address: str
) -> None:
    with opened(chromium, f"{address}/new") as page:
        log_in(page, email=EMAIL)
        fill(page, {"name": "Wrong", "audience": "many", "currency": "Euro"})
        press(page, "Save and continue")
        expect(page.locator("#errors")).to_be_focused()
        expect(page).to_have_title(re.compile("^Error: "))
        expect(field(page, "audience")).to_have_value("many")
        expect(field(page, "audience")).to_have_accessible_description(re.compile("Wrong: 'many' must be a number"))
        page.get_by_role("link", name=re.compile("^Currency")).click()
        expect(field(page, "currency")).to_be_focused()
        press(page, "Discard my draft")
        expect(field(page, "audience")).to_have_value("")


def test_a_draft_outlives_the_browser(chromium: Browser, address: str) -> None:
    with opened(chromium, f"{address}/new") as page:
        log_in(page, email=EMAIL)
        fill(page, {"name": "Kept for later", "audience": "not yet known"})
        press(page, "Save and continue")
        expect(page.locator("#errors")).to_be_visible()
    with opened(chromium, f"{address}/new") as page:
        log_in(page, email=EMAIL)
        expect(field(page, "audience")).to_have_value("not yet known")
        press(page, "Discard my draft")
        expect(field(page, "name")).to_have_value("")


def test_scripts_suggest_keys_and_keep_what_was_typed(chromium: Browser, address: str) -> None:
    with opened(chromium, f"{address}/new") as page:
        log_in(page, email=EMAIL)
        page.get_by_label("Name").press_sequentially("Women's Früh & Spät")
        expect(field(page, "key")).to_have_value("womens-fruh-spat")
        asked: list[str] = []
        page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
        page.get_by_role("link", name="What counts").click(no_wait_after=True)
        expect(page.locator("h1")).to_have_text("The campaign")
        page.wait_for_function("true")
        assert asked == ["beforeunload"]
        go_on(page, "Who gets what")
        page.get_by_role("link", name="The campaign").click()
        press(page, "Discard my draft")
        expect(field(page, "name")).to_have_value("")


def test_a_running_experiment_shows_what_is_frozen(chromium: Browser, server: ServerProcess, address: str) -> None:
    with opened(chromium, f"{address}/experiments/at-home/edit") as page:
        log_in(page, email=EMAIL)
        expect(page.get_by_text("What is grey is frozen")).to_be_visible()
        expect(field(page, "currency")).to_be_disabled()
        fill(page, {"hypothesis": "Another."})
        go_on(page, "Who gets what")
        expect(field(page, "segments[0].rule.rows[0].value")).to_be_disabled()
        page.get_by_role("link", name="Check and finish").click()
        assert document(server, "at-home") == at_home()
        press(page, "Apply the changes")
        expect(page.get_by_text("The campaign stands as you see it here.")).to_be_visible()
        assert document(server, "at-home") == at_home(hypothesis="Another.")


@pytest.mark.parametrize("scripts", [False, True], ids=["without scripts", "with scripts"])
def test_of_fifty_segments_one_is_open_and_the_keyboard_opens_another(
    chromium: Browser, server: ServerProcess, address: str, scripts: bool
) -> None:
    name = "Typed with scripts" if scripts else "Typed without"
    with opened(chromium, f"{address}/experiments/fifty/edit?step=segments", java_script_enabled=scripts) as page:
        log_in(page, email=EMAIL)
        page.get_by_role("button", name="Edit segment 8", exact=True).press("Enter")
        expect(field(page, "segments[7].name")).to_be_visible()
        if scripts:
            expect(field(page, "segments[7].name")).to_be_focused()
        fill(page, {"segments[7].name": name})
        page.get_by_role("button", name="Edit segment 50", exact=True).press("Enter")
        expect(field(page, "segments[49].name")).to_be_visible()
        expect(field(page, "segments[7]")).to_contain_text(name)
        go_on(page, "The messages")
    wanted = fifty_segments()
    wanted["segments"][7]["name"] = name
    assert document(server, "fifty") == wanted
