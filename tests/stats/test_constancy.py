"""Evidence that a ratio has changed: silent while it has not, at any look, and soon loud where it has."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from benchmarks.false_alarms import WORLDS
from benchmarks.false_alarms import highest_evidence
from experiments.cautions import FORGERY
from stats.constancy import at_some_time
from stats.constancy import change
from stats.constancy import over_time
from stats.constancy import support

_counts = st.integers(0, 2_000)
#: What weights of ten-thousandths can make, and no choice at all.
_shares = st.floats(1e-4, 1 - 1e-4) | st.sampled_from([0.0, 1.0])


def _change(earlier: tuple[int, int], later: tuple[int, int], *, share: float = 0.5, margin: float = 0.0) -> float:
    return float(change(support(*earlier, share), support(*later, share), margin=margin).evidence)


def test_nothing_says_nothing() -> None:
    assert _change((0, 0), (0, 0)) == pytest.approx(0, abs=1e-12)
    assert at_some_time([], [4]) == 0.0


@settings(max_examples=50)
@given(_counts, _counts, _counts, _counts, _shares)
def test_any_counts_give_a_finite_answer_that_does_not_depend_on_which_arm_is_named_first(
    won: int, lost: int, later_won: int, later_lost: int, share: float
) -> None:
    one = _change((won, lost), (later_won, later_lost), share=share, margin=0.25)
    other = _change((lost, won), (later_lost, later_won), share=1 - share, margin=0.25)
    assert math.isfinite(one)
    assert one == pytest.approx(other, abs=1e-6)


def test_a_wider_margin_is_harder_to_exceed() -> None:
    found = [_change((400, 500), (80, 20), margin=margin) for margin in (0.0, 0.25, 1.0, 3.0)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 10 and found[-1] < 0


def test_the_evidence_is_that_of_the_exact_integral() -> None:
    """Against quadrature on a grid ten times as fine, whose highest point needs no step of Newton's."""
    fine = np.arange(-3.025, 3.025, 0.005) + 0.0025
    prior = np.exp(-0.5 * fine**2)
    prior /= prior.sum()

    def likelihood(won: int, lost: int, share: float) -> np.ndarray:
        return won * fine - (won + lost) * np.log1p(share * np.expm1(fine))

    earlier, later = likelihood(40, 60, 0.3), likelihood(30, 5, 0.4)
    mixed = math.log(float(prior @ np.exp(earlier - earlier.max()))) + earlier.max()
    mixed += math.log(float(prior @ np.exp(later - later.max()))) + later.max()
    exact = mixed - float((earlier + later).max())
    found = float(change(support(40, 60, 0.3), support(30, 5, 0.4), margin=0.0).evidence)
    assert found == pytest.approx(exact, abs=0.02)


def test_a_change_is_found_wherever_it_is_and_which_way_it_goes() -> None:
    won, lost = np.array([40] * 6 + [80] * 6), np.full(12, 50)
    found = change(*over_time(support(won, lost, 0.5)), margin=0.25)
    assert int(found.evidence.argmax()) == 5 and bool(found.rises[5])
    evidence = at_some_time(found.evidence, np.arange(12))
    assert evidence == pytest.approx(float(found.evidence[5]) - math.log(42), abs=0.5)


def test_times_that_have_not_come_weigh_as_if_they_said_nothing() -> None:
    assert at_some_time(np.zeros(50), np.arange(51)) == pytest.approx(0, abs=1e-12)


def test_a_time_without_conversions_may_be_left_out() -> None:
    supports = support(np.array([40, 0, 0, 80]), np.array([50, 0, 0, 40]), 0.5)
    whole = change(*over_time(supports), margin=0.25)
    told = change(*over_time(supports[:, [0, 3]]), margin=0.25)
    assert at_some_time(told.evidence, [0, 3]) == pytest.approx(at_some_time(whole.evidence, [0, 1, 2, 3]), abs=1e-9)


def test_without_a_change_the_chance_of_ever_reaching_twenty_is_below_a_twentieth() -> None:
    """400 streams of 300 conversions each, looked at after every one, weights moving; the bound holds at any look."""
    rng = np.random.default_rng(5)
    shares = np.repeat(rng.uniform(0.1, 0.9, (400, 10)), 30, axis=1)
    wins = rng.random(shares.shape) < 0.8 * shares / (0.8 * shares + 1 - shares)
    kinds = rng.random(shares.shape) < 0.2
    sums = np.zeros((2, *support(np.zeros(400), 0.0, 0.5).shape))
    highest = np.full(400, -np.inf)
    for look in range(shares.shape[1]):
        won, kind = wins[:, look], kinds[:, look]
        told = support(won, ~won, shares[:, look])
        sums += np.stack([told * ~kind[:, None], told * kind[:, None]])
        highest = np.maximum(highest, change(*sums, margin=0.0).evidence)
    assert (highest >= math.log(20)).mean() <= 0.05


def test_a_campaign_in_which_nobody_forges_is_far_from_an_alarm_at_each_of_two_thousand_looks() -> None:
    world = WORLDS["sessions, base doubling"]
    assert highest_evidence(world, rng=np.random.default_rng(7)) < FORGERY - 2
