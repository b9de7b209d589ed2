import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies
from scipy import special

from benchmarks.regret import POLICIES
from benchmarks.regret import campaign
from benchmarks.regret import worlds
from stats.pooling import Count
from stats.pooling import pool_means
from stats.pooling import pool_rates
from stats.posteriors import BetaPosterior
from stats.posteriors import NormalPosterior
from stats.ranking import probability_best
from tests.stats import lattice

# (successes, failures) of two arms in each segment.
SMALL = {
    "alike": [[(10, 190), (18, 182)], [(9, 191), (14, 186)]],
    "opposite": [[(5, 95), (15, 85)], [(15, 85), (5, 95)]],
    "no conversion in a cell": [[(5, 95), (0, 100)], [(6, 94), (3, 97)]],
    "no conversion of an arm": [[(5, 95), (0, 100)], [(4, 96), (0, 100)]],
    "no conversion": [[(0, 100), (0, 100)], [(0, 50), (0, 20)]],
    "a handful of visitors": [[(1, 4), (3, 2)], [(0, 3), (2, 3)]],
    "a starved arm": [[(100, 1900), (2, 60)], [(90, 1910), (1, 70)], [(30, 970), (5, 50)]],
    "high rates": [[(90, 10), (97, 3)], [(50, 50), (60, 40)], [(80, 20), (100, 0)]],
    "effective counts": [[(8.4, 91.7), (12.1, 88.2)], [(3.3, 97.0), (7.2, 93.9)], [(0, 40.5), (2.5, 38)]],
}


def counts(rows):
    return [{"mass": Count(*mass), "new": Count(*new)} for mass, new in rows]


def best(pooled, arm):
    return [row[arm].probability_best for row in pooled.arms]


@pytest.mark.parametrize("name", SMALL)
def test_small_counts_agree_with_brute_force(name):
    rows = SMALL[name]
    won, seen = sum(cell[0] for row in rows for cell in row), sum(sum(cell) for row in rows for cell in row)
    exact = lattice.pooled(rows, base=special.logit((won + 0.5) / (seen + 1)))
    found = pool_rates(counts(rows))
    assert best(found, "new") == pytest.approx(exact.second_best, abs=0.014 if name == "no conversion" else 0.009)
    means = np.array([[row["mass"].mean, row["new"].mean] for row in found.arms])
    assert means == pytest.approx(exact.means, rel=0.05, abs=1e-3)
    assert found.spread.mean == pytest.approx(exact.spread, rel=0.25)


def test_a_single_segment_has_the_exact_answer():
    row = {"a": Count(20, 80), "b": Count(30, 70), "c": Count(0, 3)}
    found = pool_rates([row])
    posteriors = [BetaPosterior(1 + won, 1 + lost) for won, lost, _ in row.values()]
    assert [arm.probability_best for arm in found.arms[0].values()] == pytest.approx(probability_best(posteriors))
    assert [arm.mean for arm in found.arms[0].values()] == pytest.approx([one.mean for one in posteriors])
    assert [arm.sd for arm in found.arms[0].values()] == pytest.approx([one.sd for one in posteriors])
    gain = found.gain(0, "b", "a")
    assert gain.mean == pytest.approx(10 / 102)
    assert gain.high - gain.mean == pytest.approx(1.959964 * np.hypot(posteriors[0].sd, posteriors[1].sd), rel=1e-6)


def test_segments_without_visitors_leave_a_single_one_exact_and_follow_it():
    empty = {"a": Count(0, 0), "b": Count(0, 0)}
    found = pool_rates([empty, {"a": Count(20, 80), "b": Count(30, 70)}, {"a": Count(0, 0)}])
    assert found.arms[1]["b"].probability_best == pytest.approx(0.9476031034, abs=1e-9)
    assert 0.6 < found.arms[0]["b"].probability_best < 0.9
    assert found.arms[2]["a"].probability_best == 1


@pytest.mark.parametrize("visitors", [1e4, 1e6, 1e9, 1e12])
def test_without_variation_between_segments_pooling_is_complete(visitors):
    rows = [[(0.05 * visitors, 0.95 * visitors), (0.06 * visitors, 0.94 * visitors)]] * 30
    found = pool_rates(counts(rows))
    assert found.spread.complete > (0.5 if visitors < 1e6 else 0.999999)
    assert found.arms[0]["new"].mean == pytest.approx(0.06, rel=1e-3)
    alone = BetaPosterior(1 + 0.06 * visitors, 1 + 0.94 * visitors)
    assert found.arms[0]["new"].sd < alone.sd


def test_a_common_relative_effect_over_different_bases_is_no_variation():
    rows = []
    for base in np.linspace(0.005, 0.05, 12):
        rows.append([(base * 1e5, (1 - base) * 1e5), (1.2 * base * 1e5, (1 - 1.2 * base) * 1e5)])
    assert pool_rates(counts(rows)).spread.mean < 0.05


def test_large_differences_between_segments_are_not_pooled_away():
    rows = [[(5000, 95_000), (7000, 93_000)], [(5000, 95_000), (3500, 96_500)]] * 4
    found = pool_rates(counts(rows))
    assert best(found, "new") == pytest.approx([1, 0] * 4, abs=1e-9)
    assert found.spread.complete < 1e-6
    assert [row["new"].mean for row in found.arms] == pytest.approx([0.07, 0.035] * 4, rel=0.005)


def test_one_segment_among_many_shrinks_towards_the_others():
    rows = [[(100, 1900), (100, 1900)]] * 9 + [[(100, 1900), (135, 1865)]]
    found = pool_rates(counts(rows))
    assert 0.001 < found.gain(9, "new", "mass").mean < 0.6 * 35 / 2000
    assert 0.5 < found.arms[9]["new"].probability_best < 0.98


def test_the_order_of_arms_and_segments_does_not_matter():
    rows = counts(SMALL["a starved arm"])
    found = pool_rates(rows)
    turned = pool_rates([dict(reversed(row.items())) for row in reversed(rows)])
    assert best(turned, "new")[::-1] == pytest.approx(best(found, "new"), abs=1e-9)


def test_counting_failures_instead_turns_the_order_over():
    rows = SMALL["no conversion in a cell"]
    mirrored = [[(lost, won) for won, lost in row] for row in rows]
    assert best(pool_rates(counts(mirrored)), "mass") == pytest.approx(best(pool_rates(counts(rows)), "new"), abs=1e-6)


def test_equal_arms_share_equally():
    found = pool_rates([{arm: Count(7, 93) for arm in "abcd"}, {arm: Count(0, 40) for arm in "abcd"}])
    assert [arm.probability_best for row in found.arms for arm in row.values()] == pytest.approx([0.25] * 8, abs=1e-6)


def test_tailored_arms_of_their_own_segment_are_pooled_by_their_role():
    rows = [{"mass": Count(50, 950), f"letter-{s}": Count(60 + 2 * (-1) ** s, 940)} for s in range(8)]
    roles = {f"letter-{s}": "tailored" for s in range(8)}
    together, apart = pool_rates(rows, roles=roles), pool_rates(rows)
    assert together.arms[1]["letter-1"].probability_best > 0.95 > 0.85 > apart.arms[1]["letter-1"].probability_best
    assert together.spread.mean < apart.spread.mean


def test_an_arm_of_a_role_that_is_open_in_several_segments_has_an_effect_of_its_own():
    good, bad, mass = Count(650, 9350), Count(350, 9650), Count(500, 9500)
    rows = [{"mass": mass, "good": good, "bad": bad}] * 6 + [{"mass": mass, "good": Count(3, 57), "bad": Count(3, 57)}]
    found = pool_rates(rows, roles={"good": "tailored", "bad": "tailored"})
    assert found.spread.mean < 0.06
    assert found.arms[6]["good"].probability_best > 0.95


def test_very_many_arms_of_a_role_are_pooled_by_it_alone():
    arms = [f"letter-{place}" for place in range(200)]
    rows = [{"mass": Count(50, 950)} | {arm: Count(60, 940) for arm in arms[place::2]} for place in (0, 1, 0, 1)]
    found = pool_rates(rows, roles=dict.fromkeys(arms, "tailored"))
    assert found.beliefs.believed.effects.shape[-1] == 2
    assert found.arms[0]["letter-0"].probability_best == pytest.approx(0.01, abs=1e-4)


def test_arms_that_are_no_candidates_are_known_but_not_ranked():
    rows = [{"none": Count(90, 910), "mass": Count(50, 950), "new": Count(60, 940)}] * 2
    found = pool_rates(rows, candidates=["mass", "new"])
    assert best(found, "none") == [0, 0]
    assert best(found, "mass")[0] + best(found, "new")[0] == pytest.approx(1)
    assert found.arms[0]["none"].mean == pytest.approx(0.09, rel=0.05)


@pytest.mark.parametrize("segments", [1, 3])
def test_an_arm_that_costs_more_than_it_wins_is_not_the_best(segments):
    rows = [{"mass": Count(500, 9500), "new": Count(600, 9400, 0.02)}] * segments
    found = pool_rates(rows)
    assert found.arms[0]["mass"].probability_best > 0.99
    assert found.arms[0]["new"].mean == pytest.approx(0.04, abs=1e-3)
    assert found.gain(0, "new", "mass").mean == pytest.approx(-0.01, abs=1e-3)


def test_a_cost_that_all_arms_have_changes_means_and_not_chances():
    rows = SMALL["a starved arm"]
    free = pool_rates(counts(rows))
    dear = pool_rates([{arm: count._replace(cost=0.3) for arm, count in row.items()} for row in counts(rows)])
    assert best(dear, "new") == best(free, "new")
    assert dear.arms[0]["new"].mean == pytest.approx(free.arms[0]["new"].mean - 0.3)


def test_the_gain_of_a_mix_knows_that_segments_are_wrong_together():
    found = pool_rates(counts([[(100, 1900), (120, 1880)]] * 8))
    gains = [found.gain(segment, "new", "mass") for segment in range(8)]
    mix = found.combination([{"new": 1 / 8, "mass": -1 / 8}] * 8)
    assert mix.mean == pytest.approx(np.mean([gain.mean for gain in gains]))
    width = np.sqrt(sum((gain.high - gain.low) ** 2 for gain in gains)) / 8
    assert 1.5 * width < mix.high - mix.low < gains[0].high - gains[0].low
    assert mix.probability > gains[0].probability > 0.9


def test_an_arm_gains_nothing_over_itself():
    gain = pool_rates(counts(SMALL["alike"])).gain(0, "new", "new")
    assert (gain.mean, gain.low, gain.high, gain.probability) == (0, 0, 0, 0.5)


def test_nothing_to_pool_has_an_answer():
    assert pool_rates([]).arms == ()
    assert pool_rates([{}, {}]).arms == ({}, {})
    unseen = pool_rates([{"a": Count(0, 0), "b": Count(0, 0)}] * 3)
    assert best(unseen, "a") == pytest.approx([0.5] * 3)
    assert pool_rates([{"a": Count(3, 5)}, {"a": Count(0, 0)}]).arms[1]["a"].probability_best == 1


def test_thousands_of_segments_are_no_difficulty():
    rng = np.random.default_rng(0)
    won = rng.binomial(300, [0.05, 0.065], size=(2000, 2))
    found = pool_rates([{"mass": Count(a, 300 - a), "new": Count(b, 300 - b)} for a, b in won.tolist()])
    assert min(best(found, "new")) > 0.99
    assert found.spread.mean < 0.1


@pytest.mark.parametrize("bad", [Count(-1, 5), Count(1, float("inf")), Count(1, 5, float("nan"))])
def test_impossible_counts_are_refused(bad):
    with pytest.raises(ValueError, match="must be"):
        pool_rates([{"a": bad, "b": Count(1, 5)}])


visitors = strategies.one_of(strategies.just(0.0), strategies.floats(0, 9).map(lambda power: 10.0**power))
rate = strategies.one_of(strategies.sampled_from([0.0, 1.0, 1e-6, 0.05, 0.5]), strategies.floats(0, 1))
cell = strategies.builds(lambda n, p: Count(n * p, n * (1 - p)), visitors, rate)
segment = strategies.dictionaries(strategies.sampled_from("abcde"), cell)


@settings(max_examples=150)
@given(strategies.lists(segment, max_size=5))
def test_any_counts_give_finite_chances_that_sum_to_one(rows):
    found = pool_rates(rows)
    for row in found.arms:
        assert not row or sum(arm.probability_best for arm in row.values()) == pytest.approx(1)
        assert all(0 <= arm.probability_best <= 1 and 0 <= arm.mean <= 1 + 1e-9 and arm.sd >= 0 for arm in row.values())
    assert 0 <= found.spread.mean <= 2


def test_means_shrink_as_far_as_their_errors_explain_their_differences():
    rows = [{"mass": NormalPosterior(1.0, 0.1), "new": NormalPosterior(mean, 0.1)} for mean in (1.1, 1.2, 1.3, 1.4)]
    found = pool_means(rows)
    gains = [found.gain(place, "new", "mass").mean for place in range(4)]
    assert gains == sorted(gains)
    assert 0.1 < gains[0] and gains[3] < 0.4
    sure = pool_means([{arm: NormalPosterior(one.mean, 0.001) for arm, one in row.items()} for row in rows])
    assert [sure.gain(place, "new", "mass").mean for place in range(4)] == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=1e-3)


@pytest.mark.parametrize("unit", [1e-6, 100.0, 1e9])
def test_means_do_not_depend_on_the_unit(unit):
    rows = [(1.0, 0.2, 1.3, 0.3), (-0.5, 0.4, 0.9, 0.1), (0.0, 1.0, 0.2, 0.5)]
    found, scaled = (
        pool_means([{"a": NormalPosterior(a * k, b * k), "b": NormalPosterior(c * k, d * k)} for a, b, c, d in rows])
        for k in (1.0, unit)
    )
    assert best(scaled, "b") == pytest.approx(best(found, "b"), rel=1e-9)
    assert scaled.spread.mean == pytest.approx(unit * found.spread.mean)


def test_equal_means_known_without_error_are_pooled_completely():
    found = pool_means([{"a": NormalPosterior(0.6, 1e-12), "b": NormalPosterior(0.6, 1e-12)}] * 5)
    assert best(found, "a") == pytest.approx([0.5] * 5)
    assert found.spread.complete > 0.999


def test_means_of_a_single_segment_stay_as_they_are():
    posteriors = {"a": NormalPosterior(0.6, 0.1), "b": NormalPosterior(0.7, 0.1), "c": NormalPosterior(0.0, 5.0)}
    found = pool_means([posteriors])
    assert [arm.probability_best for arm in found.arms[0].values()] == pytest.approx(
        probability_best(list(posteriors.values()))
    )
    assert found.gain(0, "b", "a").mean == pytest.approx(0.1)


def test_means_that_are_all_zero_or_absent_have_an_answer():
    found = pool_means([{"a": NormalPosterior(0, 1), "b": NormalPosterior(0, 1)}] * 2)
    assert best(found, "a") == pytest.approx([0.5] * 2)
    assert pool_means([]).arms == ()
    assert pool_means([{}, {"a": NormalPosterior(0, 1)}]).arms[1]["a"].probability_best == 1


@pytest.mark.parametrize("name", ["common +20 %", "+40 % / -30 %"])
def test_pooling_costs_little_against_the_better_of_all_or_nothing(name):
    world = next(world for world in worlds() if world.name == name)
    total = {
        policy: sum(sum(campaign(world, POLICIES[policy], seed=seed, visitors=16_000)) for seed in range(8))
        for policy in ("pooled", "alone", "together")
    }
    assert total["pooled"] > 0.97 * max(total["alone"], total["together"])
