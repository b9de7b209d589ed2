"""Stored attributes: kept with the exposure as they were when the arm was drawn, coarsened, and nothing else."""

from pathlib import Path
from secrets import token_bytes
from typing import Any

import pytest

from experiments.backups import back_up
from experiments.backups import restore
from experiments.partitions import EVERYBODY
from experiments.receipts import Receipt
from experiments.storage.location import Location
from experiments.storage.store import Store
from experiments.storage.store import open_store
from experiments.storage.contexts import ContextRow
from experiments.verification import verify
from tests.experiments.documents import tiny
from tests.experiments.house import DAY
from tests.experiments.house import SECRET
from tests.experiments.house import SECRETS
from tests.experiments.house import House

STORED: dict[str, Any] = {
    "recency": {"type": "number", "store": True, "bands": [6]},
    "zip_code": {"type": "string", "store": True, "bands": ["Urban"]},
    "post_code": {"type": "string", "store": True, "prefix": 2},
    "email": "string",
}
SEGMENTS = [{"key": "lapsed", "kind": "behavioral", "rule": {"recency": {"$exists": True, "$gte": 6}}}]


@pytest.fixture
def house(store: Store) -> House:
    """An installation."""
    return House(store)


def stored(**changes: Any) -> dict[str, Any]:
    """An experiment that stores what a segment and a post code tell."""
    return tiny(attributes=STORED, segments=SEGMENTS, control_share=0.5, local_evaluation=True, metrics=[
        {"key": "signup", "event": "Signed Up", "kind": "conversion", "role": "goal", "source": "server"},
        {"key": "spend", "event": "Ordered", "kind": "value", "property": "revenue", "role": "secondary", "cap": 10},
    ], **changes)


def contexts(house: House, key: str = "tiny") -> list[str | None]:
    """What is kept with each exposure of an experiment."""
    return house.store.read(lambda session: [row.context for _, row in session.exposures.all(key)])


def past(house: House, key: str, *, before_ms: int) -> dict[str, int]:
    """How many visitors of each context came before a time."""
    rows = house.store.read(
        lambda session: session.contexts.past(EVERYBODY, key, metric="signup", most=1, before_ms=before_ms)
    )
    return {context: sum(row.n for row in rows if row.context == context) for context in {row.context for row in rows}}


def by_word(house: House, visitor: str, traits: dict[str, Any], *, consent: str = "personalise") -> Receipt:
    """The receipt of a server's exposure without a token, of whichever arm."""
    event = house.event(visitor, "Experiment Viewed", experiment_id="tiny", variation_id="everyone")
    [receipt] = house.record({**event, "context": {"traits": traits, "consent": consent}}, trusted=True)
    return receipt


@pytest.mark.every_database
def test_a_token_carries_what_is_stored_to_the_exposure(house: House) -> None:
    key = house.start(stored())
    house.record(house.exposure(key, "ann", recency=7, zip_code="Urban", post_code="53111", email="ann@example.com"))
    assert contexts(house) == ['{"post_code":"53","recency":1,"zip_code":"Urban"}']
    assert verify(house.store) == []


@pytest.mark.every_database
def test_the_context_is_that_of_the_draw_and_not_of_a_later_visit(house: House) -> None:
    key = house.start(stored())
    first = house.evaluate(key, "ann", recency=7)
    again = house.evaluate(key, "ann", recency=1, token=first.token)
    assert again.assignment.segment == "lapsed"
    house.record(house.event("ann", "Experiment Viewed", experiment_id=key, token=again.token))
    assert contexts(house) == ['{"recency":1}']
    house.record(house.exposure(key, "ann", recency=1, zip_code="Urban"))
    assert contexts(house) == ['{"recency":1}'] and verify(house.store) == []


@pytest.mark.every_database
def test_a_server_says_attributes_in_traits(house: House) -> None:
    house.start(stored())
    assert by_word(house, "ann", {"recency": 2, "zip_code": "Suburban"}).status == "accepted"
    assert contexts(house) == ['{"recency":0,"zip_code":null}']
    assert verify(house.store) == []


def test_who_says_nothing_of_attributes_has_no_context(house: House) -> None:
    house.start(stored())
    by_word(house, "ann", {})
    assert contexts(house) == [None]


def test_nothing_is_stored_of_visitors_who_consent_to_be_measured_only(house: House) -> None:
    key = house.start(stored())
    house.record(house.exposure(key, "ann", consent="measure", recency=7, zip_code="Urban"))
    by_word(house, "bob", {"recency": 7}, consent="measure")
    assert contexts(house) == [None, None]


def test_where_nothing_is_declared_to_be_stored_nothing_is(house: House) -> None:
    key = house.start(tiny(attributes={"recency": "number", "zip_code": {"type": "string", "store": False}}))
    house.record(house.exposure(key, "ann", recency=7, zip_code="Urban"))
    assert contexts(house) == [None]


@pytest.mark.every_database
def test_visitors_are_counted_by_context_and_by_what_they_reached(house: House) -> None:
    key = house.start(stored())
    for number in range(200):
        visitor, recency = f"visitor-{number}", number % 2 * 9
        house.record(house.exposure(key, visitor, recency=recency))
        if number % 5 == 0:
            house.record(house.event(visitor, "Ordered", revenue=4 + 8 * (recency > 0)), trusted=True)
    house.record(house.exposure(key, "measured", consent="measure"))
    rows = house.store.read(lambda session: session.contexts.of(EVERYBODY, key, metric="spend", most=1000))
    assert {(row.context, row.segment) for row in rows} == {
        ('{"recency":0}', "everyone-else"), ('{"recency":1}', "lapsed")
    }
    assert {row.arm for row in rows} == {"nothing", "everyone"} and {row.epoch for row in rows} == {1}
    assert sum(row.n for row in rows) == 200
    assert sum(row.total for row in rows) == 20 * 400 + 20 * 1000
    assert sum(row.total_squares for row in rows) == 20 * 400**2 + 20 * 1000**2
    assert all(isinstance(row, ContextRow) and isinstance(row.total, int) for row in rows)


@pytest.mark.every_database
def test_a_past_ends_at_a_time_and_has_also_those_of_whom_nothing_is_stored(house: House) -> None:
    key = house.start(stored())
    house.record(house.exposure(key, "ann", recency=7), house.exposure(key, "bob", consent="measure", recency=7))
    before_ms = house.now_ms + DAY
    house.now_ms = before_ms
    house.record(house.exposure(key, "cleo", recency=7))
    assert past(house, key, before_ms=before_ms) == {'{"recency":1}': 1, "{}": 1}
    assert past(house, key, before_ms=before_ms + 1) == {'{"recency":1}': 2, "{}": 1}


@pytest.mark.every_database
def test_halves_are_even_and_do_not_know_of_arms(house: House) -> None:
    key = house.start(stored())
    for batch in range(10):
        house.record(*(house.exposure(key, f"visitor-{batch}-{number}") for number in range(200)))
    rows = house.store.read(lambda session: session.contexts.of(EVERYBODY, key, metric="signup", most=1))
    table = {(row.arm, row.half): row.n for row in rows}
    # Four standard deviations of a binomial of half of 1,000 are 63.
    assert len(table) == 4 and all(437 < n < 563 for n in table.values())


def test_asserted_exposures_are_left_out(house: House) -> None:
    house.start(stored())
    for number in range(20):
        by_word(house, f"visitor-{number}", {"recency": 2})
    rows = house.store.read(lambda session: session.contexts.of(EVERYBODY, "tiny", metric="signup", most=1))
    kept = house.store.read(lambda session: [row for _, row in session.exposures.all("tiny") if not row.asserted])
    assert 0 < len(kept) < 20 and sum(row.n for row in rows) == len(kept)


@pytest.mark.every_database
def test_backups_bring_contexts_back(house: House, location: Location, tmp_path: Path) -> None:
    key = house.start(stored())
    house.record(house.exposure(key, "ann", recency=7))
    back_up(house.store, location, tmp_path / "copy.db", now_ms=house.now_ms)
    restore(tmp_path / "copy.db", tmp_path / "new.db", secrets=SECRET, random=token_bytes, now_ms=house.now_ms)
    brought_back = open_store(tmp_path / "new.db", fingerprint=SECRETS.fingerprint)
    assert contexts(House(brought_back)) == ['{"recency":1}'] and verify(brought_back) == []
    brought_back.close()
