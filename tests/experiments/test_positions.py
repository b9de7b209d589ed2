from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from experiments.hashing import bucket
from experiments.positions import positions
from tests.experiments.test_hashing import ANY_TEXT

LONG_TEXT = st.builds(str.__mul__, ANY_TEXT, st.integers(1, 200))


@given(ANY_TEXT, st.lists(ANY_TEXT | LONG_TEXT, max_size=30))
def test_everybody_stands_where_it_stands_alone(seed: str, visitors: list[str]) -> None:
    assert positions(seed, visitors).tolist() == [bucket(seed, visitor) for visitor in visitors]


def test_positions_of_a_list_are_those_of_growthbook(growthbook_cases: dict[str, Any]) -> None:
    cases = [case for case in growthbook_cases["hash"] if case[2] == 2]
    assert len(cases) == 7
    for seed in {case[0] for case in cases}:
        of_seed = [case for case in cases if case[0] == seed]
        assert positions(seed, [value for _, value, _, _ in of_seed]).tolist() == [case[3] for case in of_seed]


def test_a_half_of_a_pair_does_not_join_the_next_visitors() -> None:
    halves = ["\ud83d", "\ude00", "\U0001f600"]
    assert positions("seed", halves).tolist() == [bucket("seed", half) for half in halves]


def test_a_hundred_thousand_visitors_stand_where_they_stand_alone() -> None:
    visitors = [f"{'customer-' * (number % 7)}{number}" for number in range(100_000)]
    assert positions("spring-mailing", visitors).tolist() == [bucket("spring-mailing", each) for each in visitors]


@given(ANY_TEXT, st.integers(0, 9).flatmap(lambda size: st.lists(st.text(min_size=size, max_size=size), max_size=30)))
def test_visitors_whose_ids_are_of_one_length_stand_where_they_stand_alone(seed: str, visitors: list[str]) -> None:
    assert positions(seed, visitors).tolist() == [bucket(seed, visitor) for visitor in visitors]
