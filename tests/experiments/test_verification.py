"""Verify: whatever was changed behind the service's back is found, and told by cell, by row and by how much."""

import pytest

from experiments.storage.sqlite import split_statements
from experiments.storage.sqlite import steps
from experiments.storage.store import Store
from experiments.verification import MOST_VISITORS
from experiments.verification import verify
from tests.experiments.documents import tiny
from tests.experiments.house import House
from tests.experiments.tampering import tamper


@pytest.fixture(name="visited")
def _visited(store: Store) -> House:
    """Two visitors of one arm were exposed and signed up; their events are 1 to 4."""
    house = House(store)
    # One arm alone: then their cells are the same.
    house.start(tiny(arms=[{"key": "everyone", "role": "mass"}]))
    for visitor in ("ann", "bob"):
        house.record(house.exposure("tiny", visitor), house.event(visitor, "Signed Up"))
    assert verify(store) == []
    return house


def tampered(house: House, *statements: str) -> list[str]:
    """What verify says once somebody has changed the database."""
    for statement in statements:
        house.store.transact(lambda session: tamper(session.connection, statement))
    return verify(house.store)


@pytest.mark.every_database
def test_a_changed_cell_is_told_with_its_place_and_by_how_much(visited: House) -> None:
    assert tampered(visited, "UPDATE cells SET n = n + 1, sum = sum + 7 WHERE metric = '$exposures'") == [
        "cell of tiny, epoch 1, day 2024-10-04, segment everyone-else, arm everyone, metric $exposures: "
        "3 visitors with a sum of 9 and of 2 squared are counted, "
        "2 visitors with a sum of 2 and of 2 squared are in the events: +1, +7, +0"
    ]


@pytest.mark.every_database
def test_a_changed_total_is_told_with_its_visitor_and_its_events(visited: House) -> None:
    [fault] = tampered(
        visited, "UPDATE totals SET total = 5 WHERE visitor = (SELECT visitor FROM events WHERE seq = 3)"
    )
    assert fault.startswith("visitor ") and fault.endswith(" in tiny, signup: 5 is kept, events 4 give 1")


@pytest.mark.every_database
def test_an_exposure_that_was_moved_is_told_with_both_arms(visited: House) -> None:
    [fault] = tampered(
        visited, "UPDATE exposures SET arm = 'nobody' WHERE visitor = (SELECT visitor FROM events WHERE seq = 1)"
    )
    assert "arm='nobody'" in fault and "events 1 give" in fault and "arm='everyone'" in fault


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_missing_event_is_told_with_the_rows_that_came_of_it(visited: House, number: int) -> None:
    faults = tampered(visited, f"DELETE FROM events WHERE seq = {number}")
    assert sum(fault.startswith("cell of tiny") for fault in faults) >= 1
    assert sum(fault.startswith("visitor ") for fault in faults) == (2 if number == 1 else 1)
    assert (f"events: numbers {number} to {number} are missing" in faults) == (number < 4)


@pytest.mark.every_database
def test_of_many_visitors_only_the_first_are_told(store: Store) -> None:
    house = House(store)
    house.start(tiny())
    visitors = [f"v{number}" for number in range(MOST_VISITORS + 5)]
    house.record(*(house.exposure("tiny", visitor) for visitor in visitors))
    faults = tampered(house, "UPDATE exposures SET n = 9")
    assert len(faults) == MOST_VISITORS + 1
    assert faults[-1] == "tiny: 5 more rows of visitors differ"


@pytest.mark.every_database
@pytest.mark.parametrize(
    ("statements", "saying"),
    [
        (("DELETE FROM ledger WHERE number > 1",), "ledger of tiny: it ends at row 1, and row 3 was written: 2 are"),
        (("DELETE FROM ledger",), "ledger of tiny: it ends at row 0, and row 3 was written: 3 are cut off"),
        (("DELETE FROM ledger", "DELETE FROM experiments"), "ledger of tiny: the experiment is gone"),
        (("DELETE FROM audit WHERE number = 4",), "audit log: it ends at row 3, and row 4 was written: 1 are cut off"),
        (("DELETE FROM heads",), "audit log: nothing says that it ends at row 4"),
        (("UPDATE heads SET hash = 'x' WHERE chain = 'ledger of tiny'",), "ledger of tiny, row 3: it is not the row 3"),
        (("UPDATE heads SET number = 2 WHERE chain = 'ledger of tiny'",), "ledger of tiny, row 3: it is not the row 2"),
    ],
)
def test_a_chain_that_was_cut_off_is_found(visited: House, statements: tuple[str, ...], saying: str) -> None:
    for _ in range(2):
        visited.reallocate("tiny")
    assert verify(visited.store) == []
    assert any(fault.startswith(saying) for fault in tampered(visited, *statements)), verify(visited.store)


def test_an_older_database_is_told_where_its_chains_end_when_it_is_brought_up_to_date(visited: House) -> None:
    [script] = [text for name, text in steps() if name == "0006_heads"]
    before = visited.store.read(lambda session: session.heads.all())
    statements = ["DROP TABLE heads", *split_statements(script)]
    assert tampered(visited, *statements) == []
    assert visited.store.read(lambda session: session.heads.all()) == before
