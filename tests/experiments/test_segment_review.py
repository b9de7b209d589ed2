"""The review of segments, on visitors who were evaluated, exposed and counted as they come."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from experiments.errors import InvalidReview
from experiments.privacy.suppression import hidden_counts
from experiments.recent import Context
from experiments.review.effects import Span
from experiments.review.segments import Review
from experiments.review.segments import SegmentReview
from experiments.review.segments import review
from experiments.storage.store import Store
from tests.experiments.house import DAY
from tests.experiments.house import House
from tests.experiments.house import START
from tests.service.showroom import in_days
from tests.service.showroom import two_tastes

KEY = "spring-mailing"
DAYS = 20


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


def run(
    house: House, *, womens: tuple[float, float], tailored: tuple[float, float], per_day: int = 150, days: int = DAYS,
    segments: Iterable[dict[str, Any]] = (),
) -> None:
    """A campaign: shares of women and rates of their letter, in the first half of its days and in the second."""
    document = in_days(two_tastes(policy={"kind": "fixed"}), 3)
    document["segments"].extend(segments)
    house.start(document)
    rng = np.random.default_rng(1)
    for day in range(days):
        half = 0 if day < days // 2 else 1
        house.now_ms, events = START + day * DAY, []
        for number in range(per_day):
            context = {"womens": True} if rng.random() < womens[half] else {}
            arm = house.evaluate(KEY, f"{day}-{number}", **context).assignment.arm
            rate = {"nothing": 0.02, "one-letter": 0.1, "womens-letter": tailored[half]}[arm]
            events.append(house.exposure(KEY, f"{day}-{number}", **context))
            if rng.random() < rate:
                events.append(house.event(f"{day}-{number}", "Order Completed", revenue=10))
        house.record(*events)


def reviewed(house: House, *, min_cell: int = 10, **asked: Any) -> Review:
    return review(house.store, KEY, now_ms=house.now_ms, min_cell=min_cell, **asked)


def of(found: Review, segment: str = "womens-shoppers") -> SegmentReview:
    return next(one for one in found.segments if one.segment == segment)


def codes(found: Review, segment: str = "womens-shoppers") -> list[str]:
    return [finding.code for finding in of(found, segment).findings]


def test_a_share_and_an_effect_that_moved_are_found(house: House) -> None:
    run(house, womens=(0.4, 0.15), tailored=(0.5, 0.1))
    found = reviewed(house)
    assert codes(found) == ["share_moved", "effect_changed"]
    mine = of(found)
    assert mine.share_move is not None and mine.share_move.lately < 0.2 < 0.3 < mine.share_move.before
    assert mine.share_move.high < 0
    [effect] = mine.effects
    assert (effect.arm, effect.against) == ("womens-letter", "one-letter")
    assert effect.before is not None and effect.before.low < 0.4 < effect.before.high
    assert effect.change is not None and effect.change.high < 0 and effect.p_value is not None
    assert found.since == "2024-10-12" and found.stretch_days == 1


def test_what_stayed_as_it_was_is_not_called_changed(house: House) -> None:
    run(house, womens=(0.3, 0.3), tailored=(0.25, 0.25))
    found = reviewed(house)
    assert codes(found) == []
    [effect] = of(found).effects
    assert effect.change is not None and effect.change.low < 0 < effect.change.high


def test_shares_of_each_day_sum_to_one_and_their_visitors_to_all(house: House) -> None:
    run(house, womens=(0.4, 0.2), tailored=(0.2, 0.2), per_day=60)
    found = reviewed(house, min_cell=0)
    for day in range(DAYS):
        assert sum(one.stretches[day].share or 0 for one in found.segments) == pytest.approx(1)
    assert sum(one.visitors or 0 for one in found.segments) == found.visitors == DAYS * 60
    report = house.report(KEY)
    visitors = {row["segment"]: 0 for row in report["arms"]}
    for row in report["arms"]:
        visitors[row["segment"]] += row["visitors"]
    assert {one.segment: one.visitors for one in found.segments} == visitors


def test_a_long_campaign_is_told_by_weeks_that_begin_on_mondays(house: House) -> None:
    run(house, womens=(0.4, 0.4), tailored=(0.2, 0.2), per_day=20, days=50)
    found = reviewed(house, min_cell=0)
    stretches = of(found).stretches
    # The fourth of October 2024 is a Friday.
    assert found.stretch_days == 7 and stretches[0].start == "2024-09-30" and stretches[1].start == "2024-10-07"
    assert sum(one.visitors or 0 for one in stretches) == of(found).visitors


def test_a_segment_that_nobody_was_in_says_so_and_one_that_can_never_win(house: House) -> None:
    both = {"key": "both", "kind": "behavioral", "rule": {"mens": True, "womens": True}}
    run(house, womens=(0.3, 0.3), tailored=(0.2, 0.2), days=2, segments=[both])
    found = reviewed(house)
    assert codes(found, "mens-shoppers") == ["never_matched"]
    assert codes(found, "both") == ["shadowed", "never_matched"]
    assert of(found, "both").findings[0].names == ("womens-shoppers",)
    assert codes(found, "everyone-else") == codes(found, "no-personalisation") == []


def test_a_segment_that_stopped_coming_says_so(house: House) -> None:
    run(house, womens=(0.4, 0.0), tailored=(0.2, 0.2))
    assert codes(reviewed(house, since="2024-10-14")) == ["none_lately"]


def test_before_anybody_came_there_is_nothing_to_find(house: House) -> None:
    house.start(two_tastes())
    found = reviewed(house)
    assert [one.findings for one in found.segments] == [[]] * 4
    assert (found.visitors, of(found).share, of(found).share_move) == (0, None, None)
    assert [effect.before for effect in of(found).effects] == [None]


def test_young_visitors_are_no_decline(house: House) -> None:
    # The goal takes two weeks: of those who came lately hardly any can have reached it.
    house.start(two_tastes(policy={"kind": "fixed"}))
    for day in range(DAYS):
        house.now_ms = START + day * DAY
        for number in range(30):
            house.record(house.exposure(KEY, f"{day}-{number}", womens=True))
    [effect] = of(reviewed(house)).effects
    assert effect.change is None or (effect.change.low < 0 < effect.change.high)
    [effect] = of(reviewed(house, since="2024-10-22")).effects
    assert effect.lately is None


def test_lately_begins_on_any_day_since_the_start(house: House) -> None:
    run(house, womens=(0.4, 0.2), tailored=(0.5, 0.1))
    assert reviewed(house, since="2024-10-10").since == "2024-10-10"
    for day, rule in (("2024-10-03", "must be from 2024-10-04 to 2024-10-23"), ("2024-10-24", "must be from"),
                      ("x", "since: 'x' must be a date")):
        with pytest.raises(InvalidReview, match=rule):
            reviewed(house, since=day)


def test_few_visitors_are_not_shown_nor_found_by_subtraction(house: House) -> None:
    run(house, womens=(0.1, 0.1), tailored=(0.2, 0.2), per_day=60)
    found = reviewed(house, min_cell=10)
    shown = [[one.visitors for one in segment.stretches] for segment in found.segments]
    for row in (*shown, *zip(*shown, strict=True)):
        hidden = [n for n in row if n is None]
        assert len(hidden) != 1
    assert all(n is None or n == 0 or n >= 10 for row in shown for n in row)
    assert any(n is None for n in shown[0])


@settings(max_examples=100, deadline=None)
@given(arrays(np.float64, strategies.tuples(strategies.integers(1, 5), strategies.integers(1, 6)),
              elements=strategies.integers(0, 40).map(float)))
def test_no_small_count_is_left_to_be_found_from_the_sums(counts: NDArray[np.float64]) -> None:
    hidden = hidden_counts(counts, min_cell=10)
    assert hidden[(counts > 0) & (counts < 10)].all()
    assert not hidden[counts == 0].any()
    for row, of_row in zip((*counts, *counts.T), (*hidden, *hidden.T), strict=True):
        # Where all of a row are hidden, nothing but its sum is known.
        is_whole = of_row.sum() == (row > 0).sum()
        assert is_whole or of_row.sum() == 0 or (of_row.sum() > 1 and row[of_row].sum() >= 10)


def test_where_no_count_is_small_none_is_hidden() -> None:
    counts = np.array([[50.0, 40], [0, 20]])
    assert not hidden_counts(counts, min_cell=10).any() and not hidden_counts(counts - 49, min_cell=0).any()


def contexts(n: int, **attributes: Any) -> list[Context]:
    return [Context(START, attributes)] * n


def test_an_attribute_that_no_longer_comes_or_never_differs_is_found(house: House) -> None:
    house.start(two_tastes())
    found = reviewed(house, contexts=[*contexts(60, mens=True), *contexts(60, mens=True, womens="yes")])
    # A text is no boolean: as good as absent.
    assert codes(found) == ["attribute_absent"] and codes(found, "mens-shoppers") == ["attribute_constant"]
    assert {feed.attribute: (feed.standing, feed.missing) for feed in found.attributes} == {
        "womens": ("absent", 1.0), "mens": ("constant", 0.0),
    }
    few = reviewed(house, contexts=contexts(99, mens=True))
    assert codes(few) == [] and {feed.standing for feed in few.attributes} == {"unknown"} and few.recent is None


def test_newest_evaluations_say_how_many_fit_and_how_many_are_left(house: House) -> None:
    house.start(two_tastes())
    found = reviewed(house, contexts=[
        *contexts(100, womens=True, mens=True), *contexts(50, mens=True), *contexts(45), *contexts(5, womens=True)
    ])
    assert found.recent is not None and found.recent.evaluations == 200
    assert (found.recent.several, found.recent.none) == (0.5, 45 / 200)
    mens = found.recent.fits["mens-shoppers"]
    assert (mens.holds, mens.left, mens.taker) == (150 / 200, 50 / 200, "womens-shoppers")


@pytest.mark.every_database
def test_a_stored_attribute_that_visitors_have_otherwise_than_before_is_found(house: House) -> None:
    document = two_tastes()
    document["attributes"] |= {
        "womens": {"type": "boolean", "store": True}, "recency": {"type": "number", "store": True, "bands": [3, 6]},
    }
    house.start(document)
    rng = np.random.default_rng(2)
    for day in range(10):
        house.now_ms, events = START + day * DAY, []
        for number in range(40):
            context = {"recency": int(rng.integers(1, 9))} | ({"womens": True} if rng.random() < 0.4 else {})
            if day >= 5 and rng.random() < 0.6:
                context |= {"womens": True}
            events.append(house.exposure(KEY, f"{day}-{number}", **context))
        house.record(*events)
    found = {one.attribute: one for one in reviewed(house, since="2024-10-09").drifts}
    assert found.keys() == {"womens", "recency"}
    womens, recency = found["womens"], found["recency"]
    assert womens.drifted and womens.index is not None and womens.index > 0.25
    assert womens.missing_before is not None and womens.missing_lately is not None
    assert womens.missing_before > 0.5 > womens.missing_lately
    assert not recency.drifted and recency.missing_lately == 0
    assert "attribute_drifted" in codes(reviewed(house, since="2024-10-09"))
    assert [one.index for one in reviewed(house, since="2024-10-05").drifts] == [None, None]


def test_a_change_is_judged_for_all_effects_together(house: House) -> None:
    run(house, womens=(0.3, 0.3), tailored=(0.25, 0.16))
    [effect] = of(reviewed(house)).effects
    assert isinstance(effect.change, Span) and effect.p_value is not None
    assert effect.changed == (effect.p_value < 0.05)
