"""How often calls are wrong, and what they find, at small scale; `benchmarks.verdicts` has the full figures."""

import numpy as np
import pytest

from benchmarks.campaigns import GOAL
from benchmarks.campaigns import Campaign
from benchmarks.campaigns import World
from benchmarks.verdicts import Setting
from benchmarks.verdicts import ending
from benchmarks.verdicts import errors
from benchmarks.verdicts import found
from benchmarks.verdicts import soundness
from experiments.contests import MARGIN
from experiments.contests import calls
from experiments.contests import contests
from experiments.counting import EXPOSURES
from experiments.counting import PROFIT
from experiments.estimates import columns_by_metric
from experiments.estimates import corrected


def _total(measure, setting: Setting, *, campaigns: int) -> dict[str, float]:
    rows = [measure(setting, seed) for seed in range(campaigns)]
    return {name: sum(row[name] for row in rows) for name in rows[0]}


@pytest.fixture(scope="module")
def campaign() -> Campaign:
    """Twelve epochs, in which the base rate doubles."""
    rng = np.random.default_rng(3)
    campaign = Campaign(World((0.3, 0.0, -0.2), growth=2), policy="thompson", batches=12, rng=rng)
    for _ in range(12):
        campaign.live(1500)
        campaign.reallocate()
    return campaign


def test_a_simulated_campaign_is_called_as_a_report_of_its_cells_would_call_it(campaign: Campaign) -> None:
    readings = campaign.readings._replace(columns=campaign.columns(GOAL, EXPOSURES, PROFIT))
    columns = columns_by_metric(readings)
    found = contests(readings, corrected(readings, columns), columns)
    assert calls(found) == campaign.calls()[0]
    assert [contest.better for contest in found] != [0.0, 0.0, 0.0]


def test_calls_are_hardly_ever_wrong_while_traffic_moves_and_the_base_rate_doubles() -> None:
    # In one of 20 campaigns at most; of 20, more than 4 would come with a chance of .3 %.
    setting = Setting(World((0.3, 0.3, 0.0, 0.0), growth=2), "thompson", 2000, 20)
    wrong = _total(errors, setting, campaigns=20)
    assert wrong["false tailor"] <= 4
    assert wrong["false mass"] <= 4


def test_a_gain_of_the_margin_is_hardly_ever_called_mass() -> None:
    setting = Setting(World((MARGIN,) * 4, 0.2), "fixed", 4000, 40)
    assert _total(errors, setting, campaigns=20)["false mass"] <= 4


def test_an_even_split_finds_more_than_a_normal_mixture() -> None:
    # 2.71 of 3 and 2.53 of 3 over 400 campaigns; a campaign's finds have a standard deviation of .5.
    finds = _total(found, Setting(World((0.3,) * 3 + (0.0,) * 5), "fixed", 8000, 20), campaigns=24)
    assert finds["ours, ever"] / 24 == pytest.approx(2.71, abs=0.3)
    assert finds["ours, ever"] >= finds["by visitors, ever"]
    assert finds["ours"] >= finds["by visitors"]


def test_moving_traffic_leaves_more_to_find_than_a_normal_mixture_does() -> None:
    finds = _total(found, Setting(World((0.3,) * 3 + (0.0,) * 5), "thompson", 8000, 20, 4), campaigns=8)
    assert finds["ours"] >= finds["by visitors"]


def test_without_any_difference_two_hundred_looks_find_neither_winner_nor_fault() -> None:
    seen = _total(soundness, Setting(World((0.0, 0.0)), "thompson", 500, 200), campaigns=2)
    assert seen == {"false winner": 0, "alarm": 0}


def test_arms_that_are_equal_end_in_mass() -> None:
    # Half the segments after 3,400 conversions, 17,000 visitors, in the long run.
    setting = Setting(World((0.0,) * 4, 0.2), "fixed", 8000, 40)
    needed = [ending(setting, seed)["half"] for seed in range(10)]
    assert np.median(needed) == pytest.approx(17_000, abs=8_000)
