from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments import hashing
from experiments.hashing import bucket
from experiments.hashing import choose
from experiments.hashing import fnv1a
from experiments.hashing import ranges

ANY_TEXT = st.text(st.characters(exclude_categories=()))
GRAIN = 10_000


# From the test suite of the authors of FNV: http://www.isthe.com/chongo/src/fnv/test_fnv.c
@pytest.mark.parametrize(("text", "expected"), [("", 0x811C9DC5), ("a", 0xE40C292C), ("foobar", 0xBF9CF968)])
def test_the_hash_is_fnv1a(text: str, expected: int) -> None:
    assert fnv1a(text) == expected


# By another implementation, in JavaScript (node 20):
#   f = s => [...Array(s.length).keys()].reduce((h, i) => Math.imul(h ^ s.charCodeAt(i), 16777619) >>> 0, 0x811c9dc5)
#   f(String(f(seed + value))) % 10000 / 10000
@pytest.mark.parametrize(
    ("seed", "value", "expected"),
    [
        ("seed", "a", 0.0505),
        ("spring-mailing", "visitor-1", 0.1833),
        ("spring-mailing", "visitor-2", 0.4736),
        ("spring-mailing", "", 0.9173),
        ("frühling", "Zoë", 0.6306),
        ("emoji", "\U0001f600", 0.2438),
        ("lone", "\ud800", 0.3243),
    ],
)
def test_a_position_never_changes(seed: str, value: str, expected: float) -> None:
    assert bucket(seed, value) == expected


@given(st.integers(0, 2**32 - 1) | st.sampled_from([0, 9, 10, 999_999, 10**6, 10**6 + 1, 10**9, 2**32 - 1]))
def test_a_number_is_hashed_as_its_digits_are(number: int) -> None:
    assert hashing._fnv1a_of_digits(number) == fnv1a(str(number))


def test_positions_are_those_of_growthbook(growthbook_cases: dict[str, Any]) -> None:
    cases = growthbook_cases["hash"]
    assert len(cases) == 15
    for seed, value, version, expected in cases:
        assert bucket(seed, value, version=version) == expected


@given(ANY_TEXT, ANY_TEXT)
def test_any_text_has_a_position(seed: str, value: str) -> None:
    position = bucket(seed, value)
    assert 0 <= position < 1
    assert position == bucket(seed, value)
    assert position * GRAIN == pytest.approx(round(position * GRAIN))


def test_a_character_of_two_code_units_hashes_as_its_two_surrogates() -> None:
    assert bucket("seed", "\U0001f600") == bucket("seed", "\ud83d\ude00")


def test_visitors_spread_evenly() -> None:
    # 20,000 visitors over 10 bins: chi-square with 9 degrees of freedom is under 27.9 in 999 of 1,000 experiments.
    bins = Counter(int(bucket("even", str(visitor)) * 10) for visitor in range(20_000))
    assert sum((count - 2000) ** 2 / 2000 for count in bins.values()) < 27.9


def test_two_experiments_are_independent() -> None:
    # Four bins of equal size: chi-square with 3 degrees of freedom is under 16.3 in 999 of 1,000 pairs of experiments.
    pairs = Counter((bucket("one", str(visitor)) < 0.5, bucket("two", str(visitor)) < 0.5) for visitor in range(20_000))
    assert sum((count - 5000) ** 2 / 5000 for count in pairs.values()) < 16.3


def test_ranges_add_up_as_growthbook_adds(growthbook_cases: dict[str, Any]) -> None:
    used = 0
    for name, (count, coverage, weights), expected in growthbook_cases["getBucketRange"]:
        even = weights is None or len(weights) != count or not 0.99 <= sum(weights) <= 1.01
        # Coverage and weights that do not sum to 1 have no place here; there is nothing to replace them with.
        if coverage == 1 and (weights is None or not even):
            assert list(map(list, ranges(weights or [1 / count] * count))) == expected, name
            used += 1
    assert used == 5


def test_choices_are_those_of_growthbook(growthbook_cases: dict[str, Any]) -> None:
    cases = growthbook_cases["chooseVariation"]
    assert len(cases) == 13
    for name, position, bounds, expected in cases:
        assert choose(position, bounds) == expected, name


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=20))
def test_weights_that_sum_to_1_leave_nobody_out(parts: list[int]) -> None:
    weights = [part / sum(parts) for part in parts]
    bounds = ranges(weights)
    assert all(choose(step / GRAIN, bounds) >= 0 for step in range(GRAIN))
    assert all(first[1] == second[0] for first, second in pairwise(bounds))


def test_a_weight_that_moves_by_two_percent_moves_two_percent() -> None:
    before, after = ranges([0.5, 0.5]), ranges([0.48, 0.52])
    positions = [step / GRAIN for step in range(GRAIN)]
    assert sum(choose(position, before) != choose(position, after) for position in positions) == 200
