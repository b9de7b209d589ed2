"""Searches: arms are compared among visitors who had the same chances."""

import pytest

from experiments.discovery.searches import Record
from experiments.discovery.searches import Search
from experiments.document import parse_document
from experiments.model import Allocation
from experiments.model import EVERYONE_ELSE
from experiments.storage.contexts import ContextRow
from tests.experiments.tastes import letters

NEW, OLD = "new-letter", "one-letter"
HALF = {OLD: 5000, NEW: 5000}
#: Women get the new letter where they buy much, and the old one where they buy little; others get either.
WEIGHTS = {
    '{"womens":true,"zip_code":"Urban"}': {OLD: 1000, NEW: 9000},
    '{"womens":true,"zip_code":"Rural"}': {OLD: 9000, NEW: 1000},
    '{"womens":false,"zip_code":"Urban"}': HALF,
    '{"womens":false,"zip_code":"Rural"}': HALF,
}
BASES = {"Urban": 0.3, "Rural": 0.05}
VISITORS = 10_000


def rows(*, weights: dict[str, dict[str, int]], better: float = 1.0, epoch: int = 1) -> list[ContextRow]:
    """What letters bring that are alike but for women, exactly as much as is to be expected."""
    found = []
    for context, of_context in weights.items():
        base = BASES["Urban" if "Urban" in context else "Rural"]
        for arm, weight in of_context.items():
            n = VISITORS * weight // 10_000
            won = round(n * base * (better if arm == NEW and "true" in context else 1.0))
            found += [ContextRow(context, EVERYONE_ELSE, arm, epoch, half, n, won, float(won)) for half in (0, 1)]
    return found


def search(found: list[ContextRow], *allocations: Allocation) -> Search:
    """The search for differences between the two letters."""
    experiment = parse_document(letters())
    return Search(Record(experiment, {one.epoch: one for one in allocations}, found), arm=NEW, against=OLD)


def test_chances_that_differ_by_context_are_no_interaction() -> None:
    by_context = Allocation(1, {EVERYONE_ELSE: HALF}, {EVERYONE_ELSE: WEIGHTS})
    assert search(rows(weights=WEIGHTS), by_context).choices == []
    # Whoever took the chances of the segment for theirs would find one.
    assert search(rows(weights=WEIGHTS), Allocation(1, {EVERYONE_ELSE: HALF})).choices != []


def test_what_there_is_is_found_whatever_the_chances() -> None:
    by_context = Allocation(1, {EVERYONE_ELSE: HALF}, {EVERYONE_ELSE: WEIGHTS})
    found = search(rows(weights=WEIGHTS, better=1.5), by_context)
    finding = found.finding(found.choices[0], min_cell=10)
    assert finding is not None and finding.candidate.rule == {"womens": True}
    assert finding.inside.ratio == pytest.approx(1.5, abs=0.01) and finding.outside.ratio == pytest.approx(1, abs=0.01)
    assert finding.share == 0.5 and finding.segments == [EVERYONE_ELSE]


def test_epochs_without_news_are_one_stratum_and_lost_ones_are_left_out() -> None:
    even = dict.fromkeys(WEIGHTS, HALF)
    three = [*rows(weights=even), *rows(weights=even, epoch=2), *rows(weights=even, epoch=9)]
    found = search(three, Allocation(1, {EVERYONE_ELSE: HALF}), Allocation(2, {EVERYONE_ELSE: HALF}))
    assert found.visitors.sum() == 2 * 2 * VISITORS * len(WEIGHTS)
    assert set(found.of_half(0).stratum.tolist()) == {0}


def test_an_arm_that_could_not_be_had_is_compared_with_nobody() -> None:
    found = search(rows(weights=dict.fromkeys(WEIGHTS, HALF)), Allocation(1, {EVERYONE_ELSE: {OLD: 10_000}}))
    assert (found.choices, found.candidates, found.sight()) == ([], [], None)


def test_few_of_an_arm_are_not_shown() -> None:
    by_context = Allocation(1, {EVERYONE_ELSE: HALF}, {EVERYONE_ELSE: WEIGHTS})
    found = search(rows(weights=WEIGHTS, better=1.5), by_context)
    assert found.finding(found.choices[0], min_cell=10_000) is not None
    assert found.finding(found.choices[0], min_cell=10_001) is None
