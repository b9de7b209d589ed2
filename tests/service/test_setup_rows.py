"""A set-up of fifty segments: light pages, one row open at a time, and nothing lost of those that are folded."""

import json
import re
from typing import Any
from urllib.parse import unquote

import pytest
from flask import Flask

from experiments.lifecycle import act
from experiments.lifecycle import create
from experiments.lifecycle import find
from service.installation import Installation
from service.setup.state import STEPS
from tests.experiments.wide import fifty_segments
from tests.service.conftest import DEED
from tests.service.forms import fields_of
from tests.service.people import Someone
from tests.service.people import logged_in

EDIT = "/experiments/fifty/edit"
_MOST_BYTES = 100_000


@pytest.fixture(name="ann")
def _ann(app: Flask, installation: Installation) -> Someone:
    create(installation.store, fifty_segments(), deed=DEED)
    return logged_in(app, installation, "editor")


def stored(installation: Installation) -> dict[str, Any]:
    return dict(installation.store.read(lambda session: find(session, "fifty")).document)


def press(who: Someone, address: str, do: str, **changes: str) -> str:
    """Send a step as it stands but for changes (`__` stands for a full stop), and open what it leads to."""
    fields = {**fields_of(who.open(address).text), **{name.replace("__", "."): text for name, text in changes.items()}}
    answer = who.send(address, on=address, **{**fields, "do": do})
    return who.open(answer.location.partition("#")[0]).text if answer.status_code == 303 else answer.text


def paste(who: Someone, document: dict[str, Any]) -> str:
    """The page that a pasted document leads to."""
    return press(who, f"{EDIT}?step=check", "paste", document=json.dumps(document))


def open_rows(page: str) -> set[str]:
    return set(re.findall(r'<fieldset class="card" id="([^"]+)"', page))


@pytest.mark.parametrize("state", ["draft", "running", "stopped"])
def test_every_page_of_fifty_segments_is_light(ann: Someone, installation: Installation, state: str) -> None:
    for name in {"draft": (), "running": ("start",), "stopped": ("start", "stop")}[state]:
        act(installation.store, "fifty", name, deed=DEED)
    steps = [f"{EDIT}?step={step}" for step in STEPS]
    opened = [f"{EDIT}?step=segments&at=segments[49]", f"{EDIT}?step=messages&at=arms[49]"]
    others = [f"/experiments/fifty{part}" for part in ("/document", "/ledger", "/actions")]
    for path in (*steps, *opened, *others, "/"):
        page = ann.open(path)
        assert page.status_code == 200
        assert len(page.data) < _MOST_BYTES, path


def test_a_page_on_which_everything_is_wrong_is_light_too_and_leads_to_each(ann: Someone) -> None:
    wrong = fifty_segments(attributes={"first_name": "string"})
    page = paste(ann, wrong)
    for step in ("segments", "messages"):
        page = ann.open(f"{EDIT}?step={step}&faults=1")
        assert len(page.data) < _MOST_BYTES
    page = ann.open(f"{EDIT}?step=segments&faults=1").text
    assert open_rows(page) == {"segments[0]", "segments[1]", "segments[2]"}
    links = re.findall(r'href="([^"]*at=segments\[31\][^"]*)"', page)
    there = ann.open(links[0].replace("&amp;", "&").partition("#")[0]).text
    assert "segments[31]" in open_rows(there) and links[0].partition("#")[2] in re.findall(r'id="([^"]+)"', there)


def test_an_error_in_a_folded_row_opens_it(ann: Someone) -> None:
    address = f"{EDIT}?step=messages&at=arms[40]"
    press(ann, address, "open arms[3]", **{"arms[40].fixed_cost": "much"})
    page = press(ann, f"{EDIT}?step=messages&at=arms[3]", "save")
    assert open_rows(page) == {"arms[3]", "arms[40]"}
    assert '<a href="#arms[40].fixed_cost">' in page and 'value="much" aria-describedby' not in page
    assert re.search(r'name="arms\[40\].fixed_cost" value="much" aria-invalid="true"', page)


@pytest.mark.parametrize(("step", "at"), [
    *((step, "") for step in STEPS), ("segments", "segments[7].name"), ("segments", "arms[1]"),
    ("messages", "arms[51]"), ("messages", "arms[999]"), ("metrics", "metrics[1]"),
])
def test_a_step_that_is_sent_as_it_stands_changes_nothing(
    ann: Someone, installation: Installation, step: str, at: str
) -> None:
    page = press(ann, f"{EDIT}?step={step}&at={at}", "save")
    assert "There is something wrong" not in page and "kept as your draft" not in page
    assert stored(installation) == fifty_segments()


def test_opening_a_row_keeps_what_was_typed_in_the_one_before(ann: Someone, installation: Installation) -> None:
    page = press(ann, f"{EDIT}?step=segments", "open segments[7]")
    assert open_rows(page) == {"segments[7]"}
    page = press(ann, f"{EDIT}?step=segments&at=segments[7]", "open segments[9]", **{
        "segments[7].name": "Typed",
    })
    assert open_rows(page) == {"segments[9]"} and "<bdi>Typed</bdi>" in page
    press(ann, f"{EDIT}?step=segments&at=segments[9]", "save", **{"segments[9].name": "Typed too"})
    wanted = fifty_segments()
    wanted["segments"][7]["name"], wanted["segments"][9]["name"] = "Typed", "Typed too"
    assert stored(installation) == wanted


def test_rows_are_added_moved_and_removed_among_folded_ones(ann: Someone, installation: Installation) -> None:
    address = f"{EDIT}?step=segments"
    assert open_rows(press(ann, address, "add segments")) == {"segments[50]"}
    assert open_rows(press(ann, f"{address}&at=segments[50]", "remove segments[50]")) == {"segments[49]"}
    assert open_rows(press(ann, f"{address}&at=segments[49]", "up segments[49]")) == {"segments[48]"}
    press(ann, f"{address}&at=segments[48]", "save")
    wanted = fifty_segments()
    wanted["segments"][48:] = reversed(wanted["segments"][48:])
    assert stored(installation) == wanted


def test_a_folded_row_says_what_it_is_in_plain_words(ann: Someone) -> None:
    page = ann.open(f"{EDIT}?step=segments").text
    assert "People of taste number 7</bdi></b> <span><bdi>city is Chur and recency is known and recency" in page
    page = ann.open(f"{EDIT}?step=messages").text
    assert "letter-7</bdi></b> <span><bdi>for taste-7: For taste number 7</bdi>" in page


def test_the_preview_shows_the_message_that_is_open(ann: Someone) -> None:
    assert "Press “Edit” beside a message" in ann.open(f"{EDIT}?step=messages").text
    address = f"{EDIT}?step=messages&at=arms[9]"
    fields = {**fields_of(ann.open(address).text), "arms[9].message[0].value": "Typed just now"}
    shown = ann.send("/preview", on=address, **fields).text
    assert re.findall("<h3>(.*)</h3>", shown) == ["letter-7"] and "Typed just now" in shown
    answer = ann.send(address, on=address, **{**fields, "do": "preview"})
    assert unquote(answer.location) == f"{address}#preview"


def test_a_campaign_that_has_ended_shows_its_rows_one_by_one(ann: Someone, installation: Installation) -> None:
    for name in ("start", "stop"):
        act(installation.store, "fifty", name, deed=DEED)
    page = ann.open(f"{EDIT}?step=segments").text
    link = re.findall(r'href="([^"#]*at=segments\[12\])#', page)[0]
    assert open_rows(ann.open(EDIT + link.replace("&amp;", "&")).text) == {"segments[12]"}


@pytest.mark.parametrize("text", ["", "{", "\x00", '{"a":' * 5000])
def test_a_folded_row_that_cannot_be_read_is_refused(ann: Someone, installation: Installation, text: str) -> None:
    address = f"{EDIT}?step=segments"
    answer = ann.send(address, on=address, **{**fields_of(ann.open(address).text), "segments[3]": text, "do": "save"})
    assert answer.status_code == 400 and "Segments[3]: " in answer.text and "the row" in answer.text
    assert stored(installation) == fifty_segments()


@pytest.mark.parametrize("text", ["1", "null", "[]", '"x"', '{"rule": 7, "name": ["x"], "key": {"$": 1}}'])
def test_a_folded_row_of_another_shape_is_a_blank_row(ann: Someone, text: str) -> None:
    address = f"{EDIT}?step=segments"
    answer = ann.send(address, on=address, **{**fields_of(ann.open(address).text), "segments[3]": text, "do": "save"})
    assert answer.status_code == 422 and "Segment 4" in answer.text
