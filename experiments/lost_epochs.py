"""Lost epochs: published after a backup was made, and unknown since it was brought back. Pure.

Tokens of them may still come. A later epoch of the same number would have other weights, and a cell of both no one
propensity: so numbers are left free, more than can have been used, and no token in between counts, whatever its arm.
"""

from collections.abc import Collection

#: An epoch every second for almost three hours, or every hour for more than a year.
GAP = 10_000


def is_lost(epoch: int, restored_at: Collection[int]) -> bool:
    """Whether an epoch is one that the ledger does not know; `restored_at` are the newest of each backup restored."""
    return any(newest < epoch <= newest + GAP for newest in restored_at)


def numbers_left_free(newest: int, restored_at: Collection[int]) -> int:
    """How many numbers the epoch after the newest one leaves out."""
    return GAP if newest in restored_at else 0
