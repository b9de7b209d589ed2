"""The list of campaigns: what each has come to in words, loudly where somebody is needed, and nothing else loud."""

import re
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from experiments.acts import AnyAct
from experiments.acts import do
from experiments.counting import EXPOSURES
from experiments.lifecycle import create
from experiments.people import Role
from experiments.storage.cells import CellKey
from experiments.times import day_of
from service.campaigns.view import SPARK_DAYS
from service.campaigns.view import spark
from service.installation import Installation
from tests.experiments.documents import tiny
from tests.service.conftest import DEED
from tests.service.conftest import NOW_MS
from tests.service.conftest import SetClock
from tests.service.people import logged_in


def write(installation: Installation, key: str, *names: AnyAct, **changes: Any) -> None:
    create(installation.store, tiny(key=key, **changes), deed=DEED)
    for name in names:
        do(installation.store, key, name, deed=DEED)


def titles(page: str) -> list[str]:
    """The shelves and the campaigns on them, in their order."""
    found = re.findall(r'<h2 id="shelf-\d+">([\w ]+?) <small|id="campaign-([\w-]+)"', page)
    return [key or title for title, key in found]


def test_they_stand_by_what_they_need(app: Flask, installation: Installation, clock: SetClock) -> None:
    write(installation, "silent", "start")
    clock.advance(seconds=3 * 86_400)
    write(installation, "a-draft")
    write(installation, "paused", "start", "pause")
    write(installation, "over", "start", "stop")
    write(installation, "gone", "start", "stop", "archive")
    page = logged_in(app, installation, "viewer").open("/").text
    assert titles(page) == [
        "Needs your attention", "silent", "Running", "paused", "Drafts", "a-draft", "Stopped", "over", "gone"
    ]
    assert page.index("<details>") < page.index('id="campaign-gone"')
    assert "Nothing is arriving: it runs, but no new visitor has been counted since the start." in page
    assert page.count('class="notice loud"') == 1


@pytest.mark.parametrize(("role", "ways"), [
    ("viewer", set()), ("editor", {"/new", "/experiments/tiny/edit", "/experiments/tiny/actions"}),
])
def test_only_ways_that_are_open_are_shown(
    app: Flask, installation: Installation, role: Role, ways: set[str]
) -> None:
    write(installation, "tiny", "start")
    found = set(re.findall(r'href="(/[^"]*)"', logged_in(app, installation, role).open("/").text))
    reading = {"/", "/privacy", "/static/bespoke.css", "/experiments/tiny", "/experiments/tiny/ledger"}
    assert found == reading | ways


@pytest.mark.parametrize(("role", "pages"), [
    ("viewer", ["Campaigns", "Privacy"]),
    ("editor", ["Campaigns", "New", "Privacy"]),
    ("admin", ["Campaigns", "New", "Privacy", "People", "Audit log"]),
])
def test_the_bar_leads_to_what_is_open_and_marks_where_one_is(
    app: Flask, installation: Installation, role: Role, pages: list[str]
) -> None:
    page = logged_in(app, installation, role).open("/").text
    bar = page[page.index("<nav"):page.index("</nav>")]
    assert re.findall(r">([\w ]+)</a>", bar) == pages
    assert re.findall(r'<a href="(/)" aria-current="page">', bar) == ["/"]
    assert f"{role}@shop.example" in page


def test_an_empty_list_says_what_to_do(app: Flask, installation: Installation) -> None:
    assert "Set up the first one" in logged_in(app, installation, "editor").open("/").text
    assert "Set up" not in logged_in(app, installation, "viewer").open("/").text


def test_a_hundred_campaigns_are_a_page_of_less_than_100_kb(app: Flask, installation: Installation) -> None:
    arms = [{"key": arm, "role": "mass"} for arm in ("one", "other")]
    for number in range(100):
        name = f"Spring mailing number {number}: one letter, or many?"
        write(installation, f"tiny-{number}", "start", name=name, arms=arms)
        count_visitors(installation, f"tiny-{number}")
    page = logged_in(app, installation, "editor").open("/").text
    assert page.count('id="campaign-') == page.count('class="spark"') == 100
    assert len(re.sub("(?s)<svg.*?</svg>", "", page)) < 100_000


def count_visitors(installation: Installation, key: str) -> None:
    """Visitors on every day that a sparkline shows, without the events that they come from."""
    today = day_of(NOW_MS)
    cells = {
        CellKey(key, 1, today - age, "everyone-else", arm, False, metric): (9 + age, 9 + age, 9.0 + age)
        for age in range(SPARK_DAYS) for arm in ("one", "other") for metric in (EXPOSURES, "signup")
    }
    installation.store.transact(lambda session: session.cells.add(cells))


@given(st.dictionaries(st.integers(20_000, 20_100), st.integers(1, 10**9), max_size=40), st.integers(20_000, 20_100))
@settings(max_examples=100)
def test_a_spark_has_a_bar_for_each_day_with_visitors_and_none_leaves_it(visitors: dict[int, int], today: int) -> None:
    drawn, shown = spark(visitors, today=today), [day for day in visitors if today - SPARK_DAYS < day <= today]
    if drawn is None:
        assert not shown
        return
    bars = [tuple(map(int, bar)) for bar in re.findall(r"M(\d+) (\d+)v-(\d+)h3v\3z", drawn.path)]
    assert len(bars) == len(shown) == drawn.path.count("M")
    assert max(height for _, _, height in bars) == drawn.height
    assert all(1 <= height <= drawn.height and 0 <= left <= drawn.width - 3 for left, _, height in bars)
