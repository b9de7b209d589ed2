"""The ledger's page: why traffic moved, in words, page by page, for whoever may read reports."""

import re
from itertools import product
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from experiments.acts import do
from experiments.audit import Deed
from experiments.ledger import ledger_excerpt
from experiments.lifecycle import create
from experiments.reallocation import reallocate
from experiments.storage.cells import CellKey
from service.campaigns.ledger_view import ROWS
from service.installation import Installation
from service.people.links import report_link
from tests.experiments.documents import spring_mailing
from tests.service.conftest import DEED
from tests.service.conftest import NOW_MS
from tests.service.people import logged_in

KEY = "spring-mailing"
PLACE = f"/experiments/{KEY}/ledger"
#: In the shares that the weights ask for.
VISITORS = {"nothing": 200, "one-letter": 900, "womens-letter": 900}


def _text(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_a_finish_is_told_with_who_why_and_what_moved(
    app: Flask, running: dict[str, Any], installation: Installation
) -> None:
    do(installation.store, KEY, "finish", deed=Deed("ann@shop.example", NOW_MS, "The verdict is in."))
    page = logged_in(app, installation, "viewer").open(PLACE)
    assert page.status_code == 200
    told = _text(page.text)
    assert "Everybody was sent the winner 1 December 2026, 10:00 UTC · ann@shop.example · epoch 2" in told
    assert "The verdict is in." in told
    assert "one-letter womens-shoppers 45.0% 99.98%" in told
    assert told.index("Everybody was sent the winner") < told.index("Started")


def test_looks_that_moved_nothing_are_one_line(app: Flask, running: dict[str, Any], installation: Installation) -> None:
    for _ in range(3):
        reallocate(installation.store, KEY, deed=Deed("scheduler", NOW_MS))
    do(installation.store, KEY, "freeze", deed=Deed("ann@shop.example", NOW_MS, "A holiday."))
    told = _text(logged_in(app, installation, "viewer").open(PLACE).text)
    assert "After that the policy looked 3 times and found too little to move. Started" in told
    assert told.count("Weights frozen") == 1
    assert "No weight moved." in told


def test_every_decision_stands_on_exactly_one_page(
    app: Flask, running: dict[str, Any], installation: Installation
) -> None:
    for number in range(2 * ROWS):
        do(installation.store, KEY, "resume" if number % 2 else "pause", deed=DEED)
        if number % 2:
            reallocate(installation.store, KEY, deed=DEED)
    viewer, path, seen = logged_in(app, installation, "viewer"), PLACE, list[int]()
    while path:
        page = viewer.open(path).text
        seen += map(int, re.findall(r'id="decision-(\d+)"', page))
        older = re.search(r'href="([^"]*before=\d+)">Older', page)
        path = older[1] if older else ""
    rows = installation.store.read(lambda session: list(session.ledger.rows(KEY)))
    assert seen == [row.number for row in reversed(rows) if row.kind != "unchanged"]
    assert len(seen) == 2 * ROWS + 1


def test_an_excerpt_counts_the_looks_between_its_rows_and_at_its_ends(
    running: dict[str, Any], installation: Installation
) -> None:
    for looks in (2, 1):
        for _ in range(looks):
            reallocate(installation.store, KEY, deed=DEED)
        do(installation.store, KEY, "pause", deed=DEED)
        do(installation.store, KEY, "resume", deed=DEED)
    reallocate(installation.store, KEY, deed=DEED)
    store = installation.store
    whole = store.read(lambda session: ledger_excerpt(session, KEY, before=None, limit=100))
    assert [row["act"] for row in whole.rows] == ["resume", "pause", "resume", "pause", "start"]
    assert whole.looks == [1, 0, 1, 0, 2]
    first = store.read(lambda session: ledger_excerpt(session, KEY, before=None, limit=2))
    second = store.read(lambda session: ledger_excerpt(session, KEY, before=first.before, limit=9))
    assert [*first.rows, *second.rows] == whole.rows
    assert [*first.looks, *second.looks] == whole.looks


@pytest.mark.parametrize("query", ["before=0", "before=x", "before=1&before=2", "after=1"])
def test_a_query_that_cannot_be_is_refused(
    app: Flask, running: dict[str, Any], installation: Installation, query: str
) -> None:
    assert logged_in(app, installation, "viewer").open(f"{PLACE}?{query}").status_code == 400


def test_a_draft_has_no_decisions(app: Flask, installation: Installation) -> None:
    create(installation.store, spring_mailing(), deed=DEED)
    assert "Nothing has been decided yet" in logged_in(app, installation, "viewer").open(PLACE).text


def test_a_link_to_the_report_shows_no_way_to_what_it_does_not_open(
    client: FlaskClient, running: dict[str, Any], installation: Installation
) -> None:
    link = report_link(KEY, address="", expires_ms=NOW_MS + 60_000, keyring=installation.keyring)
    page = client.get(link).text
    assert "<nav" not in page and "/audit" not in page and "/new" not in page
    signature = link.partition("?")[2]
    assert client.get(f"{PLACE}?{signature}").status_code == 303


def test_a_page_of_many_segments_shows_the_largest_moves_and_counts_the_rest(
    app: Flask, installation: Installation
) -> None:
    segments = [
        {"key": f"segment-{n}", "kind": "behavioral", "rule": {"recency": n}} for n in range(50)
    ]
    document = spring_mailing(segments=segments)
    document["arms"] = [
        {**arm, **({"segments": [one["key"] for one in segments]} if arm["role"] == "tailored" else {})}
        for arm in document["arms"]
    ]
    create(installation.store, document, deed=DEED)
    do(installation.store, KEY, "start", deed=DEED)
    page = logged_in(app, installation, "viewer").open(PLACE).text
    assert "These are the largest; 142 more weights moved by less." in page
    assert len(page) < 100_000


def by_context() -> dict[str, Any]:
    """An experiment whose weights differ by age and membership."""
    return spring_mailing(
        policy={"kind": "contextual_thompson", "burn_in": 0, "burn_in_conversions": 0, "max_step": 1},
        attributes={
            "recency": "number", "womens": "boolean", "zip_code": "string", "first_name": "string",
            "age": {"type": "number", "store": True, "bands": [30, 60]}, "member": {"type": "boolean", "store": True},
        },
    )


def cells() -> dict[CellKey, tuple[int, int, float]]:
    """Members like the letter made for them, others do not, whatever their age."""
    place = KEY, 1, NOW_MS // 86_400_000, "womens-shoppers"
    found = {}
    for age, member, (arm, n) in product(range(3), ("true", "false"), VISITORS.items()):
        likes = (arm == "womens-letter") == (member == "true") and arm != "nothing"
        for metric, reached in (("purchase", n // 5 if likes else n // 20), ("$exposures", n)):
            context = f'{{"age":{age},"member":{member}}}'
            found[CellKey(*place, arm, False, metric, context)] = (n, reached, float(reached))
    return found


def test_weights_by_context_are_told_with_what_tells_the_arms_apart(app: Flask, installation: Installation) -> None:
    create(installation.store, by_context(), deed=DEED)
    do(installation.store, KEY, "start", deed=DEED)
    installation.store.transact(lambda session: session.cells.add(cells()))
    reallocate(installation.store, KEY, deed=DEED)
    told = _text(logged_in(app, installation, "viewer").open(PLACE).text)
    assert "By context What tells the arms apart: member 100%" in told
    assert "age 30 to 60, member yes 10.0% 5.0% 85.0%" in told
    assert "age 60 and more, member no 10.0% 85.0% 5.0%" in told
