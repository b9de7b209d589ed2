"""Erasure: no row and no byte of the visitor is left, every count stays, and what comes late is stored nowhere."""

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.audit import Deed
from experiments.errors import RejectedEvent
from experiments.events import Terms
from experiments.privacy.access import access
from experiments.privacy.erasure import Erased
from experiments.privacy.erasure import Remembering
from experiments.privacy.erasure import erase
from experiments.signing import disguised
from experiments.signing import pseudonym
from experiments.storage.location import Location
from experiments.storage.store import Store
from experiments.verification import verify
from tests.experiments.documents import tiny
from tests.experiments.histories import rows_of
from tests.experiments.house import DAY
from tests.experiments.house import House
from tests.experiments.house import SECRETS
from tests.service.processes import wait_until

TABLES = ("events", "exposures", "totals", "waiting")
REMEMBERING = Remembering(Terms("personalise", 90 * 86_400), 90 * 86_400, 0)


def erased(house: House, visitor: str) -> Erased:
    """What an erasure now comes to; this process sees it at once."""
    gone = erase(
        house.store, visitor, keyring=SECRETS, remembering=REMEMBERING, deed=Deed("test", house.now_ms)
    )
    house.snapshots.refresh()
    return gone


def rows(house: House, visitor: str) -> list[str]:
    """The tables that have a row of a visitor."""
    stand_in = pseudonym(visitor, key=SECRETS.visitors)
    return house.store.read(lambda session: rows_of(session, stand_in))


@pytest.fixture(name="visited")
def _visited(store: Store) -> House:
    """Ann was exposed twice and signed up, bob was exposed, cem signed up and waits, dan nobody knows."""
    house = House(store)
    house.start(tiny())
    house.record(house.exposure("tiny", "ann"), house.exposure("tiny", "ann"), house.exposure("tiny", "bob"))
    house.record(house.event("ann", "Signed Up"), house.event("cem", "Signed Up"))
    return house


@pytest.mark.every_database
def test_an_erased_visitor_is_gone_and_still_counted(visited: House) -> None:
    before, cells = visited.report("tiny"), visited.cells("tiny")
    assert set(rows(visited, "ann")) == {"events", "exposures", "totals"}
    assert erased(visited, "ann")[:2] == (1, 3)
    assert rows(visited, "ann") == []
    assert visited.cells("tiny") == cells
    assert visited.report("tiny") == before
    assert verify(visited.store) == []


@pytest.mark.every_database
def test_an_outcome_that_waited_is_counted_as_an_orphan(visited: House) -> None:
    assert erased(visited, "cem")[:2] == (0, 1)
    assert rows(visited, "cem") == []
    assert visited.store.read(lambda session: session.waiting.counts("tiny", now_ms=visited.now_ms)) == (0, 1)


@pytest.mark.every_database
def test_what_still_comes_of_the_erased_is_ignored_and_stored_nowhere(visited: House) -> None:
    late = [visited.exposure("tiny", "ann"), visited.event("ann", "Signed Up"), visited.event("ann", "Nonsense")]
    erased(visited, "ann")
    counters = visited.store.read(lambda session: session.counters.of("tiny"))
    found = visited.record(*late, visited.event("bob", "Signed Up"))
    assert [(receipt.status, receipt.code) for receipt in found] == [("ignored", "erased")] * 3 + [("accepted", None)]
    assert rows(visited, "ann") == []
    assert visited.store.read(lambda session: session.counters.of("tiny")) == counters
    assert verify(visited.store) == []


@pytest.mark.every_database
def test_an_erased_visitor_is_a_stranger_whose_exposure_counts_only_once_the_mark_has_ended(visited: House) -> None:
    assert visited.evaluate("tiny", "ann").assignment.cause == "sticky"
    until_ms = erased(visited, "ann").until_ms
    assert visited.evaluate("tiny", "ann").assignment.cause == "allocated"
    visited.now_ms = until_ms - 1
    assert visited.record(visited.exposure("tiny", "ann"))[0].code == "erased"
    visited.now_ms = until_ms
    assert visited.record(visited.exposure("tiny", "ann"))[0].status == "accepted"


@pytest.mark.every_database
def test_no_token_and_no_event_from_before_the_erasure_outlives_the_mark(visited: House) -> None:
    token, event = visited.exposure("tiny", "dan"), visited.event("dan", "Signed Up", at=visited.now_ms)
    visited.now_ms = erased(visited, "dan").until_ms
    codes = [receipt.code for receipt in visited.record(token, event)]
    assert codes == ["token_expired", "too_old"]


@pytest.mark.every_database
def test_whoever_nobody_knows_can_be_erased_and_erasing_again_lasts_longer(visited: House) -> None:
    first = erased(visited, "dan")
    visited.now_ms += DAY
    again = erased(visited, "dan")
    assert (first[:2], again[:2]) == ((0, 0), (0, 0))
    assert again.until_ms == first.until_ms + DAY


def test_what_is_no_id_is_refused(visited: House) -> None:
    for id in ("", 7, None, "x" * 513, "a\nb"):
        with pytest.raises(RejectedEvent, match="id: .* must be a string"):
            erased(visited, id)  # type: ignore[arg-type]


@pytest.mark.every_database
def test_nothing_that_is_left_tells_who_was_erased(visited: House) -> None:
    erased(visited, "ann")
    stand_in = pseudonym("ann", key=SECRETS.visitors)
    row = visited.store.read(lambda session: session.audit.last())
    assert row and (row.action, row.subject) == ("erase", "visitor")
    assert not any(word in row.body for word in ("ann", stand_in.hex()))
    marks = visited.store.read(lambda session: session.tombstones.all())
    assert [mark for mark, _ in marks] == disguised([stand_in], key=SECRETS.tombstones)
    assert marks[0][0] != stand_in


@pytest.mark.every_database
def test_access_tells_all_that_is_known_until_it_is_erased(visited: House) -> None:
    known = access(visited.store, "ann", keyring=SECRETS)
    assert [(each["experiment"], each["exposures"]) for each in known["exposures"]] == [("tiny", 2)]
    assert [(event["kind"], event["name"]) for event in known["events"]] == [
        ("exposure", ""), ("exposure", ""), ("outcome", "Signed Up")
    ]
    assert {total["metric"]: total["counts_for"] for total in known["totals"]} == {
        "signup": 1, "$exposures": 2, "$profit": 0
    }
    assert len(access(visited.store, "cem", keyring=SECRETS)["waiting"]) == 1
    erased(visited, "ann")
    left = access(visited.store, "ann", keyring=SECRETS)
    assert left == {**known, **dict.fromkeys(TABLES, []), "erased_until": left["erased_until"]}
    assert left["erased_until"] and not known["erased_until"]


def test_numbers_of_erased_events_are_not_given_again_so_that_no_server_misses_an_exposure(
    opened: Callable[[bool], Store]
) -> None:
    serving, beside = opened(True), opened(False)
    try:
        house, other = House(serving), House(beside)
        house.start(tiny())
        other.snapshots.refresh()
        house.record(house.exposure("tiny", "ann"), house.exposure("tiny", "bob"))
        erased(other, "bob")
        other.record(*(other.exposure("tiny", visitor) for visitor in ("cem", "dan")))
        wait_until(lambda: is_exposed(serving, "cem") and is_exposed(serving, "dan"), what="they are known")
        serving.transact(lambda session: None)
        assert serving.read(lambda session: [number for number, _ in session.events.in_order()]) == [1, 3, 4]
        assert is_exposed(serving, "cem") and is_exposed(serving, "dan") and not is_exposed(serving, "bob")
        assert verify(serving) == []
    finally:
        beside.close()
        serving.close()


def is_exposed(store: Store, visitor: str) -> bool:
    """Whether a store knows that a visitor was exposed."""
    return "tiny" in store.exposures_of(pseudonym(visitor, key=SECRETS.visitors), ["tiny"])


def test_not_a_byte_of_the_erased_is_left_in_the_file_or_its_log(location: Location, store: Store) -> None:
    assert isinstance(location, Path)
    house = House(store)
    house.start(tiny())
    visitors = [f"v{number}" for number in range(3000)]
    for begin in range(0, len(visitors), 200):
        some = visitors[begin : begin + 200]
        house.record(*(house.exposure("tiny", visitor) for visitor in some))
        house.record(*(house.event(visitor, "Signed Up") for visitor in some), house.event(f"w{begin}", "Signed Up"))
    gone = [*visitors[::40], "w0", "w200"]
    stand_ins = [pseudonym(visitor, key=SECRETS.visitors) for visitor in gone]
    log = Path(f"{location}-wal")
    assert all(stand_in in location.read_bytes() + log.read_bytes() for stand_in in stand_ins)
    for visitor in gone:
        erased(house, visitor)
    wait_until(lambda: log.stat().st_size == 0, what="the log is taken in")
    assert not any(stand_in in location.read_bytes() for stand_in in stand_ins)
    assert verify(store) == []
