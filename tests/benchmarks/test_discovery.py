"""Discovery in the benchmark's worlds, in fewer runs: hardly ever what is not there, mostly what is."""

import pytest

from benchmarks.discovery import NOTHING
from benchmarks.discovery import SOMETHING
from benchmarks.discovery import bandit
from benchmarks.discovery import even
from benchmarks.discovery import shares


@pytest.mark.parametrize("world", NOTHING)
def test_where_there_is_no_interaction_hardly_anything_is_proposed(world: str) -> None:
    # Of 100 runs 3 % are 3, with a standard deviation of 1.7.
    proposes, _, _ = shares(NOTHING[world], even, runs=100, seed=1)
    assert proposes <= 0.08


@pytest.mark.parametrize("world", SOMETHING)
def test_where_there_is_one_it_is_mostly_found(world: str) -> None:
    _, rightly, right_of_all = shares(SOMETHING[world], even, runs=40, seed=5)
    assert rightly >= 0.7 and right_of_all >= 0.9


def test_the_log_of_a_bandit_proposes_no_more_and_finds_it_too() -> None:
    assert shares(NOTHING["+40 % everywhere, .5 to 20 %"], bandit, runs=50, seed=3)[0] <= 0.1
    assert shares(SOMETHING["women's shoppers"], bandit, runs=10, seed=4)[1] >= 0.7
