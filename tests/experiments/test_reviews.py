"""Reviews of segments: who looked last, by which day somebody looks again, and reminders that are given once."""

from typing import Any

import pytest

from experiments.audit import Deed
from experiments.audit import Selection
from experiments.audit import audit_of
from experiments.errors import InvalidReview
from experiments.errors import InvalidTransition
from experiments.errors import UnknownExperiment
from experiments.errors import UnknownSegment
from experiments.lifecycle import create
from experiments.lifecycle import replace
from experiments.overview import Concern
from experiments.overview import overview
from experiments.review.days import mark_reviewed
from experiments.review.days import review_days
from experiments.review.reminders import Reminder
from experiments.review.reminders import remind
from experiments.storage.store import Store
from tests.experiments.documents import spring_mailing
from tests.experiments.house import DAY
from tests.experiments.house import House

KEY, SEGMENT = "spring-mailing", "womens-shoppers"
#: The house's clock begins on the fourth of October 2024.
TODAY = "2024-10-04"


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


def dated(day: str | None) -> dict[str, Any]:
    """The example, its segment to be looked at by a day."""
    document = spring_mailing()
    document["segments"][0]["review_by"] = day
    if day is None:
        del document["segments"][0]["review_by"]
    return document


def look(house: House, day: object, *, key: str = KEY, segment: str = SEGMENT) -> None:
    mark_reviewed(house.store, key, segment, by=day, deed=Deed("ann@shop.example", house.now_ms))


def days(house: House) -> dict[str, str]:
    """By which day somebody looks."""
    house.snapshots.refresh()
    experiment = house.snapshots.latest.entries[KEY].experiment
    return house.store.read(lambda session: review_days(experiment, session.reviews.of(KEY)))


def concerns(house: House) -> list[Concern]:
    found = overview(house.store, snapshot=house.snapshots.refresh(), now_ms=house.now_ms)
    return [one for one in found[0].concerns if one.kind in ("review", "review_soon")]


@pytest.mark.every_database
def test_a_review_says_who_looked_and_sets_the_next_day(house: House) -> None:
    house.start(dated("2024-10-03"))
    assert concerns(house) == [Concern("review", (SEGMENT,))]
    look(house, "2025-03-01")
    assert (days(house), concerns(house)) == ({SEGMENT: "2025-03-01"}, [])
    row = house.store.read(lambda session: session.reviews.of(KEY))[SEGMENT]
    assert (row.actor, row.at_ms, row.instead_of) == ("ann@shop.example", house.now_ms, "2024-10-03")
    [entry] = audit_of(house.store, Selection(None, KEY, None, 1)).rows
    assert (entry["action"], entry["details"]) == ("segment review", {"segment": SEGMENT, "review_by": "2025-03-01"})


def test_a_later_review_takes_the_place_of_the_one_before(house: House) -> None:
    house.start(dated(None))
    look(house, "2025-03-01")
    house.now_ms += DAY
    look(house, "2025-02-01")
    assert days(house) == {SEGMENT: "2025-02-01"}
    assert house.store.read(lambda session: session.reviews.of(KEY))[SEGMENT].at_ms == house.now_ms


def test_the_same_document_once_more_keeps_the_review_and_another_day_in_it_wins(house: House) -> None:
    house.start(dated("2024-10-10"))
    look(house, "2025-03-01")
    replace(house.store, KEY, dated("2024-10-10"), deed=Deed("ann", house.now_ms))
    assert days(house) == {SEGMENT: "2025-03-01"}
    replace(house.store, KEY, dated("2024-12-24"), deed=Deed("ann", house.now_ms))
    assert days(house) == {SEGMENT: "2024-12-24"}


def test_a_day_that_has_come_or_is_none_is_refused_and_nothing_is_kept(house: House) -> None:
    house.start(dated("2024-10-10"))
    for day, rule in ((TODAY, "must be after today, 2024-10-04"), ("2024-02-30", "must be a date"), ("soon", "date"),
                      (None, "must be a date"), (20250301, "must be a date")):
        with pytest.raises(InvalidReview, match=rule):
            look(house, day)
    with pytest.raises(UnknownSegment, match="'everyone-else' must be one of the document's: womens-shoppers"):
        look(house, "2025-03-01", segment="everyone-else")
    with pytest.raises(UnknownExperiment):
        look(house, "2025-03-01", key="nobody")
    assert house.store.read(lambda session: session.reviews.of(KEY)) == {}


def test_what_gives_no_messages_is_not_reviewed(house: House) -> None:
    create(house.store, dated(None), deed=Deed("ann", house.now_ms))
    with pytest.raises(InvalidTransition, match="is draft: a review needs running or paused"):
        look(house, "2025-03-01")
    house.act(KEY, "start")
    house.act(KEY, "pause")
    look(house, "2025-03-01")
    house.act(KEY, "stop")
    with pytest.raises(InvalidTransition, match="is stopped"):
        look(house, "2025-04-01")


def test_it_is_said_a_fortnight_before_and_from_the_day_after_on(house: House) -> None:
    house.start(dated("2024-10-20"))
    said = []
    for _ in range(20):
        said.append([one.kind for one in concerns(house)])
        house.now_ms += DAY
    assert said == [[]] * 2 + [["review_soon"]] * 15 + [["review"]] * 3


@pytest.mark.every_database
def test_each_reminder_is_given_once_however_often_one_looks(house: House) -> None:
    house.start(dated("2024-10-20"))
    given = []
    for _ in range(40):
        for _ in range(3):
            given += [(house.now_ms // DAY - 20_000, one) for one in remind(house.store, now_ms=house.now_ms)]
        house.now_ms += DAY // 2
    assert given == [
        (2, Reminder(KEY, SEGMENT, "2024-10-20", "soon")), (16, Reminder(KEY, SEGMENT, "2024-10-20", "due")),
    ]


def test_another_day_is_another_reminder(house: House) -> None:
    house.start(dated("2024-10-05"))
    assert [one.stage for one in remind(house.store, now_ms=house.now_ms)] == ["soon"]
    look(house, "2024-10-30")
    house.now_ms += DAY
    assert remind(house.store, now_ms=house.now_ms) == []
    house.now_ms += 20 * DAY
    assert remind(house.store, now_ms=house.now_ms) == [Reminder(KEY, SEGMENT, "2024-10-30", "soon")]


def test_what_was_missed_is_said_late_and_only_as_it_stands_now(house: House) -> None:
    house.start(dated("2024-10-20"))
    house.now_ms += 60 * DAY
    assert [one.stage for one in remind(house.store, now_ms=house.now_ms)] == ["due"]


def test_what_has_stopped_reminds_nobody(house: House) -> None:
    house.start(dated("2024-10-05"))
    house.act(KEY, "stop")
    assert remind(house.store, now_ms=house.now_ms) == []
