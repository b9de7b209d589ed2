"""How much is measured."""

from typing import NamedTuple


class Size(NamedTuple):
    """How often, for how long, and over how much.

    Attributes:
        rounds: in each of which everything that is compared is measured once.
        seconds: that a measurement by the clock takes.
        visitors: that are met, half of them exposed before.
        batches: of 500 events, in a round.
        exposed: visitors in the large database.
        growth: the largest number of experiments and of segments.
    """

    rounds: int
    seconds: float
    visitors: int
    batches: int
    exposed: int
    growth: int


TRIAL = Size(rounds=2, seconds=0.02, visitors=200, batches=2, exposed=2_000, growth=5)
USUAL = Size(rounds=5, seconds=1.5, visitors=100_000, batches=40, exposed=1_000_000, growth=5_000)
FULL = USUAL._replace(rounds=7, seconds=3, exposed=10_000_000)
