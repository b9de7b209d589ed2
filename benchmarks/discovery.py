"""How often discovery proposes something where there is nothing, and finds what there is.

    python -m benchmarks.discovery --runs 2000

64,000 visitors in 24 contexts, two arms, the product's own search: recency in four bands, three kinds of places, womens
or not. Worlds without an interaction: equal arms, and a constant relative effect over bases of .5 to 20 %; worlds with
one: +40 % for one half of the contexts and -30 % for the others. Each by an even split, and by the log of a Thompson
bandit of 64 epochs with a floor of 5 % while the base falls by half.
"""

import argparse
from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.allocation import GRAIN
from experiments.contexts import Contexts
from experiments.discovery.searches import FALSE_RATE
from experiments.discovery.searches import Record
from experiments.discovery.searches import Search
from experiments.document import parse_document
from experiments.model import Allocation
from experiments.model import EVERYONE_ELSE
from experiments.storage.contexts import ContextRow
from stats.interactions import discoveries
from stats.posteriors import BetaPosterior
from stats.weights import thompson

Array = NDArray[np.float64]

VISITORS = 64_000
EPOCHS = 64
FLOOR = 0.05
ARMS = ("one-letter", "new-letter")

EXPERIMENT = parse_document({
    "key": "letters",
    "attributes": {
        "recency": {"type": "number", "store": True, "bands": [3, 6, 9]},
        "zip_code": {"type": "string", "store": True, "bands": ["Urban", "Suburban", "Rural"]},
        "womens": {"type": "boolean", "store": True},
    },
    "arms": [{"key": arm, "role": "mass"} for arm in ARMS],
    "metrics": [{"key": "purchase", "event": "Order Completed", "kind": "conversion", "role": "goal"}],
})
CELLS = list(product((0, 3, 6, 9), ("Urban", "Suburban", "Rural"), (True, False)))
CONTEXTS = [
    str(Contexts(EXPERIMENT.attributes).of(dict(zip(("recency", "zip_code", "womens"), cell, strict=True))))
    for cell in CELLS
]


class Truth(NamedTuple):
    """The rate of the reference in each context, and the ratio of the other arm's rate to it."""

    base: Array
    ratio: Array


World = Callable[[np.random.Generator], Truth]
Log = Callable[[Truth, np.random.Generator], Record]


def _equal(base: float) -> World:
    return lambda rng: Truth(np.full(len(CELLS), base), np.ones(len(CELLS)))


def _constant(ratio: float) -> World:
    """A constant relative effect over bases of .5 to 20 %."""
    ends = np.log(0.005), np.log(0.2)
    return lambda rng: Truth(np.exp(rng.uniform(*ends, len(CELLS))), np.full(len(CELLS), ratio))


def _halves(better: Callable[[np.random.Generator], NDArray[np.bool_]]) -> World:
    """+40 % for some, -30 % for the others."""
    return lambda rng: Truth(np.full(len(CELLS), 0.05), np.where(better(rng), 1.4, 0.7))


NOTHING: dict[str, World] = {
    "equal arms, 5 %": _equal(0.05),
    "equal arms, .5 %": _equal(0.005),
    "+40 % everywhere, .5 to 20 %": _constant(1.4),
    "-30 % everywhere, .5 to 20 %": _constant(0.7),
}
SOMETHING: dict[str, World] = {
    "women's shoppers": _halves(lambda rng: np.array([womens for *_, womens in CELLS])),
    "recent or in town, by half": _halves(
        lambda rng: np.array([(recency < 6) ^ (zip_code == "Urban") for recency, zip_code, _ in CELLS])
    ),
    "12 contexts at random": _halves(lambda rng: rng.permutation(len(CELLS)) < len(CELLS) // 2),
}


class Found(NamedTuple):
    """How many segments a run proposed, and how many of them rightly."""

    proposals: int
    right: int


def even(truth: Truth, rng: np.random.Generator) -> Record:
    """The record of an experiment that splits evenly."""
    allocation = Allocation(1, {EVERYONE_ELSE: dict.fromkeys(ARMS, GRAIN // 2)})
    return Record(EXPERIMENT, {1: allocation}, _rows(truth, rng, share=0.5, visitors=VISITORS, epoch=1))


def bandit(truth: Truth, rng: np.random.Generator) -> Record:
    """The record of an experiment whose traffic follows what converts, while the base falls by half."""
    allocations, rows = {}, []
    won, lost, share = np.zeros(2), np.zeros(2), 0.5
    for epoch in range(1, EPOCHS + 1):
        weight = round(share * GRAIN)
        weights = dict(zip(ARMS, (GRAIN - weight, weight), strict=True))
        allocations[epoch] = Allocation(epoch, {EVERYONE_ELSE: weights})
        now = Truth(truth.base * (1 - epoch / EPOCHS / 2), truth.ratio)
        came = _rows(now, rng, share=weight / GRAIN, visitors=VISITORS // EPOCHS, epoch=epoch)
        for place, arm in enumerate(ARMS):
            won[place] += sum(row.total for row in came if row.arm == arm)
            lost[place] += sum(row.n - row.total for row in came if row.arm == arm)
        posteriors = [BetaPosterior().observe(*counts) for counts in zip(won, lost, strict=True)]
        share = float(thompson(posteriors, floor=FLOOR)[1])
        rows += came
    return Record(EXPERIMENT, allocations, rows)


LOGS: dict[str, Log] = {"an even split": even, "a bandit's log": bandit}


def _rows(truth: Truth, rng: np.random.Generator, *, share: float, visitors: int, epoch: int) -> list[ContextRow]:
    of_contexts = rng.multinomial(visitors, np.full(len(CELLS), 1 / len(CELLS)))
    first = rng.binomial(of_contexts, 0.5)
    rows = []
    for half, n in enumerate((first, of_contexts - first)):
        of_arm = rng.binomial(n, share)
        for arm, came, rate in zip(ARMS, (n - of_arm, of_arm), (truth.base, truth.base * truth.ratio), strict=True):
            won = rng.binomial(came, np.minimum(rate, 1))
            counts = zip(CONTEXTS, came.tolist(), won.tolist(), strict=True)
            rows += [ContextRow(one, EVERYONE_ELSE, arm, epoch, half, n, x, float(x)) for one, n, x in counts if n]
    return rows


def run(truth: Truth, record: Record) -> Found:
    """What is proposed of a record, held against the truth.

    A proposal is right if the mean logarithm of the true ratio of its visitors lies on that side of the others' mean
    that it says.
    """
    search = Search(record, arm=ARMS[1], against=ARMS[0])
    if not search.choices:
        return Found(0, 0)
    found = discoveries(search.p_values(), rate=FALSE_RATE)
    proposals = [search.finding(search.choices[place], min_cell=10) for place in np.flatnonzero(found)]
    log_ratios = np.log([truth.ratio[CONTEXTS.index(context)] for context in search.contexts])
    signs = [
        _contrast(log_ratios, search.visitors, one.candidate.holds) * (one.inside.ratio - one.outside.ratio)
        for one in proposals
        if one is not None
    ]
    return Found(len(signs), sum(sign > 1e-9 for sign in signs))


def _contrast(values: Array, visitors: Array, holds: NDArray[np.bool_]) -> float:
    inside, outside = (np.average(values[side], weights=visitors[side]) for side in (holds, ~holds))
    return float(inside - outside)


def shares(world: World, log: Log, *, runs: int, seed: int = 0) -> tuple[float, float, float]:
    """The share of runs that propose anything, of those that propose something right, and of proposals that are."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(runs):
        truth = world(rng)
        found.append(run(truth, log(truth, rng)))
    proposals, right = np.array(found).T
    return float((proposals > 0).mean()), float((right > 0).mean()), float(right.sum() / max(1, proposals.sum()))


def main() -> None:
    """Print the shares for each world and log."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    runs = parser.parse_args().runs
    print(f"{'':<48}{'proposes':>12}{'rightly':>12}{'right of all':>14}")
    for (title, world), (name, log) in product({**NOTHING, **SOMETHING}.items(), LOGS.items()):
        any_, rightly, right = shares(world, log, runs=runs if title in NOTHING else max(1, runs // 10))
        print(f"{f'{title}, {name}':<48}{any_:>12.1%}{rightly:>12.1%}{right:>14.1%}", flush=True)


if __name__ == "__main__":
    main()
