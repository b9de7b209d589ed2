"""How often are the verdict's calls wrong, how often do they find what is there, and how long do they take?

    python -m benchmarks.verdicts --question "false calls" --campaigns 1000

Everything is looked at repeatedly, and an error counts if it stood at any look. Campaign i draws from seed i, so that a
long run can be done in parts with --first.
"""

import argparse
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.campaigns import Campaign
from benchmarks.campaigns import World
from benchmarks.normal_mixture import DIFFERENCES
from benchmarks.normal_mixture import finds
from experiments.contests import MARGIN

Array = NDArray[np.float64]

_EQUAL = 1e-9


class Setting(NamedTuple):
    """A world and how it is looked at.

    Attributes:
        batch: visitors between two reallocations, over all segments.
        batches: how many of them.
        per_look: batches between two looks.
    """

    world: World
    policy: str
    batch: int
    batches: int
    per_look: int = 1


class Question(NamedTuple):
    """What is asked of each setting.

    Attributes:
        measure: the figures of one campaign by name.
        settings: by what is printed.
        target: what the figures should be.
        summary: of a figure over all campaigns.
    """

    measure: Callable[[Setting, int], Mapping[str, float]]
    settings: Mapping[str, Setting]
    target: str
    summary: Callable[[Array], np.floating] = np.mean


def looks(setting: Setting, seed: int) -> Iterator[tuple[Campaign, float]]:
    """The campaign at each look, and the visitors that a segment has had by then."""
    rng = np.random.default_rng(seed)
    campaign = Campaign(setting.world, policy=setting.policy, batches=setting.batches, rng=rng)
    for number in range(1, setting.batches + 1):
        campaign.live(setting.batch)
        if number % setting.per_look == 0:
            yield campaign, number * setting.batch / len(campaign.segments)
        campaign.reallocate()


def errors(setting: Setting, seed: int) -> dict[str, float]:
    """Whether any call was wrong at any look."""
    gains = np.array(setting.world.gains)
    tailor = mass = False
    for campaign, _ in looks(setting, seed):
        called = campaign.called()
        tailor |= bool((called == "tailor")[gains <= 0].any())
        mass |= bool((called == "mass")[gains >= MARGIN - _EQUAL].any())
    return {"false tailor": tailor, "false mass": mass}


def found(setting: Setting, seed: int) -> dict[str, float]:
    """How many of the true gains are called, by us and by peers from the same log: at the end, and at some look."""
    true = np.array(setting.world.gains) > 0
    now, ever = {}, dict.fromkeys(("ours", *DIFFERENCES), np.zeros(len(true), dtype=np.bool_))
    for campaign, _ in looks(setting, seed):
        now = {"ours": campaign.called() == "tailor"} | {name: finds(campaign, name) for name in DIFFERENCES}
        ever = {name: flags | now[name] for name, flags in ever.items()}
    at_end = {name: float(flags[true].sum()) for name, flags in now.items()}
    return at_end | {f"{name}, ever": float(flags[true].sum()) for name, flags in ever.items()}


def soundness(setting: Setting, seed: int) -> dict[str, float]:
    """Whether a campaign without any difference or fault ever called a winner or alarmed."""
    winner = alarm = False
    for campaign, _ in looks(setting, seed):
        winner |= bool((campaign.called() == "tailor").any())
        alarm |= campaign.alarm()
    return {"false winner": winner, "alarm": alarm}


def ending(setting: Setting, seed: int) -> dict[str, float]:
    """How many visitors a segment has had when the first, half and all segments are called `mass`."""
    needed = np.full(len(setting.world.gains), np.inf)
    for campaign, visitors in looks(setting, seed):
        needed = np.where(np.isinf(needed) & (campaign.called() == "mass"), visitors, needed)
        if np.isfinite(needed).all():
            break
    needed.sort()
    return {"first": needed[0], "half": needed[(len(needed) - 1) // 2], "all": needed[-1]}


_NULL, _THREE = (0.0,) * 24, (0.3,) * 3 + (0.0,) * 5
_SEVEN = (0.3,) * 7 + (0.0,)


def _twenty(gains: Sequence[float], base: float = 0.05, *, growth: float = 1.0) -> Setting:
    """20 looks and as many reallocations, 500 visitors of each segment between two."""
    return Setting(World(tuple(gains), base, growth), "thompson", 500 * len(gains), 20)


def _equal(policy: str, base: float, visitors: int) -> Setting:
    """8 segments without a difference; 60 looks."""
    return Setting(World((0.0,) * 8, base), policy, 8 * visitors // 60, 60)


QUESTIONS = {
    "false calls": Question(
        errors,
        {
            "24 null": _twenty(_NULL),
            "24 null, base doubles": _twenty(_NULL, growth=2),
            "3 of 8 gain 30 %": _twenty(_THREE),
            "3 of 8, base doubles": _twenty(_THREE, growth=2),
            "7 of 8 gain 30 %": _twenty(_SEVEN),
            "7 of 8, base doubles": _twenty(_SEVEN, growth=2),
            "24 null, base .5 %": _twenty(_NULL, 0.005),
            "24 null, base 20 %": _twenty(_NULL, 0.2),
            "8 gain the margin, base 20 %": _twenty((MARGIN,) * 8, 0.2),
        },
        "at most .05",
    ),
    "true finds": Question(
        found,
        {
            "even split": Setting(World(_THREE), "fixed", 8000, 20),
            "thompson, batches of 500": Setting(World(_THREE), "thompson", 500, 320, 16),
            "thompson, batches of 4,000": Setting(World(_THREE), "thompson", 4000, 40, 2),
        },
        "ours at least the peers'",
    ),
    "A/A": Question(
        soundness,
        {"2 segments, 200 looks": Setting(World((0.0,) * 2), "thompson", 500, 200)},
        "at most .05 and .002",
    ),
    "equal arms": Question(
        ending,
        {
            "even split, base 5 %": _equal("fixed", 0.05, 240_000),
            "thompson, base 5 %": _equal("thompson", 0.05, 240_000),
            "even split, base 20 %": _equal("fixed", 0.2, 60_000),
            "thompson, base 20 %": _equal("thompson", 0.2, 60_000),
        },
        "visitors a segment until `mass`",
        np.median,
    ),
}


def line(question: Question, name: str, seeds: Sequence[int]) -> str:
    """A setting's figures over these campaigns, with Monte Carlo errors of means."""
    began = time.perf_counter()
    rows = [question.measure(question.settings[name], seed) for seed in seeds]
    columns = {key: np.array([row[key] for row in rows], dtype=np.float64) for key in rows[0]}
    figures = "; ".join(_figure(key, column, question) for key, column in columns.items())
    return f"{name:<36}{figures}   ({len(seeds)} from seed {seeds[0]}, {time.perf_counter() - began:.0f} s)"


def _figure(name: str, values: Array, question: Question) -> str:
    summary = question.summary(values)
    if question.summary is not np.mean:
        return f"{name} {summary:,.0f}"
    return f"{name} {summary:.4g} ± {values.std() / np.sqrt(len(values)):.2g}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--question", choices=QUESTIONS, help="only this one")
    parser.add_argument("--setting", default="", help="only settings whose name holds this")
    parser.add_argument("--campaigns", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="the first campaign's seed")
    options = parser.parse_args(arguments)
    for name in [options.question] if options.question else QUESTIONS:
        print(f"\n{name} (target: {QUESTIONS[name].target})")
        for setting in QUESTIONS[name].settings:
            if options.setting in setting:
                seeds = range(options.first, options.first + options.campaigns)
                print(line(QUESTIONS[name], setting, seeds), flush=True)


if __name__ == "__main__":
    main()
