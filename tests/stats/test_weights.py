"""Shares of traffic."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from stats.posteriors import BetaPosterior
from stats.posteriors import NormalPosterior
from stats.ranking import probability_best
from stats.weights import epsilon_greedy
from stats.weights import even
from stats.weights import limit_step
from stats.weights import thompson
from stats.weights import top_two

ARMS = [BetaPosterior(11, 91), BetaPosterior(21, 83), BetaPosterior(26, 95)]
some_arms = st.lists(st.builds(BetaPosterior, st.floats(0.1, 1e5), st.floats(0.1, 1e5)), min_size=1, max_size=6)
simplex = st.lists(st.floats(0.001, 1), min_size=3, max_size=3).map(lambda w: np.array(w) / sum(w))


def test_thompson_shows_each_arm_as_often_as_it_is_probably_best() -> None:
    assert thompson(ARMS).tolist() == probability_best(ARMS).tolist()


def test_the_floor_is_added_and_keeps_the_order() -> None:
    weights = thompson(ARMS, floor=0.05)
    assert weights == pytest.approx(0.05 + 0.85 * probability_best(ARMS), abs=1e-15)
    assert thompson(ARMS, floor=1 / 3) == pytest.approx(even(3), abs=1e-15)


@pytest.mark.parametrize("policy", [thompson, top_two, epsilon_greedy])
def test_a_floor_that_takes_more_than_everything_is_refused(policy: object) -> None:
    with pytest.raises(ValueError, match="floor is 0.34, must be at most 1/3 for 3 arms"):
        policy(ARMS, floor=0.34)  # type: ignore[operator]
    with pytest.raises(ValueError, match="floor is -0.1, must be finite and not negative"):
        policy(ARMS, floor=-0.1)  # type: ignore[operator]


def test_top_two_is_the_law_of_drawing_until_another_arm_wins() -> None:
    rng = np.random.default_rng(4)
    draws = np.stack([posterior.draw(rng, 200_000) for posterior in ARMS])
    winners = draws.argmax(axis=0)
    frequencies = np.bincount(winners, minlength=3) / winners.size
    drawn = np.zeros(3)
    for leader in range(3):
        others = np.where(np.arange(3) == leader, 0, frequencies)
        drawn += frequencies[leader] * (0.5 * (np.arange(3) == leader) + 0.5 * others / others.sum())
    assert top_two(ARMS) == pytest.approx(drawn, abs=0.005)


def test_top_two_never_gives_a_certain_winner_more_than_its_share() -> None:
    certain = [BetaPosterior(9e5, 1e5), BetaPosterior(2, 100), BetaPosterior(4, 100)]
    weights = top_two(certain, share=0.6)
    assert weights[0] == pytest.approx(0.6)
    # The rest goes by the chance to be the best of the others.
    assert weights[1:] == pytest.approx(0.4 * probability_best(certain[1:]), abs=1e-12)


def test_two_arms_under_top_two_share_by_the_share_only() -> None:
    assert top_two(ARMS[:2]) == pytest.approx([0.5, 0.5], abs=1e-15)


def test_epsilon_greedy_prefers_the_highest_mean_and_divides_ties() -> None:
    assert epsilon_greedy(ARMS, epsilon=0.3) == pytest.approx([0.1, 0.1, 0.8])
    assert epsilon_greedy([BetaPosterior()] * 4) == pytest.approx([0.25] * 4)
    tied = [NormalPosterior(1, 1), NormalPosterior(1, 9), NormalPosterior(0, 1)]
    assert epsilon_greedy(tied, epsilon=0.3, floor=0.1) == pytest.approx([0.415, 0.415, 0.17])


def test_a_single_arm_gets_everything() -> None:
    for weights in (thompson(ARMS[:1]), top_two(ARMS[:1]), epsilon_greedy(ARMS[:1]), even(1)):
        assert weights.tolist() == [1.0]


def test_no_arm_is_refused() -> None:
    for empty in (lambda: thompson([]), lambda: top_two([]), lambda: epsilon_greedy([]), lambda: even(0)):
        with pytest.raises(ValueError, match="must"):
            empty()


def test_a_step_is_cut_on_the_straight_line() -> None:
    assert limit_step([0.5, 0.3, 0.2], [1, 0, 0], max_step=0.25) == pytest.approx([0.75, 0.15, 0.1])
    assert limit_step([0.5, 0.5], [0.6, 0.4], max_step=0.25).tolist() == [0.6, 0.4]


@pytest.mark.parametrize(
    ("previous", "target"), [([0.5, 0.4], [0.5, 0.5]), ([0.5, 0.5], [1.1, -0.1]), ([1.0], [0.5, 0.5])]
)
def test_steps_between_things_that_are_no_weights_are_refused(previous: list[float], target: list[float]) -> None:
    with pytest.raises(ValueError, match="must"):
        limit_step(previous, target, max_step=0.1)


@settings(max_examples=60)
@given(some_arms, st.floats(0, 1), st.floats(0, 1))
def test_weights_sum_to_one_and_respect_the_floor(posteriors: list[BetaPosterior], part: float, share: float) -> None:
    floor = part / len(posteriors)
    for weights in (
        thompson(posteriors, floor=floor),
        top_two(posteriors, floor=floor, share=share),
        epsilon_greedy(posteriors, floor=floor, epsilon=share),
    ):
        assert weights.sum() == pytest.approx(1, abs=1e-9)
        assert (weights >= floor - 1e-12).all()


@given(simplex, simplex, st.floats(0.01, 1))
def test_no_weight_moves_further_than_the_step(previous: np.ndarray, target: np.ndarray, step: float) -> None:
    reached = limit_step(previous, target, max_step=step)
    assert reached.sum() == pytest.approx(1, abs=1e-9)
    assert np.abs(reached - previous).max() <= step + 1e-12
    assert (np.abs(target - reached) <= np.abs(target - previous) + 1e-12).all()
