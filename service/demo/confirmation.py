"""Whether what is true of simulated visitors confirms the verdict on them."""

from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

from experiments.errors import BespokeError
from experiments.simulation.truth import Truth


class Unconfirmed(BespokeError):
    """A verdict that is wrong, or that has not come."""

    code = "unconfirmed"


def check_verdict(verdict: Mapping[str, Any], truth: Truth) -> None:
    """Compare the call on each segment that has tailored arms with what is true of it.

    :raises Unconfirmed: naming the segments whose call is not true.
    """
    wrong = [
        f"{segment} is called {row['call']}, but {right} is true"
        for segment, row, right in _calls(verdict, truth)
        if row["call"] == "keep_testing" or not truth.holds(segment, row["call"], [row["arm"]])
    ]
    if wrong:
        raise Unconfirmed("; ".join(wrong))


def confirmations(verdict: Mapping[str, Any], truth: Truth) -> Iterator[str]:
    """A line for each of these segments: what was called, and what is true."""
    for segment, row, right in _calls(verdict, truth):
        gain = f"{row['arm']} has {truth.gains[segment, row['arm']]:+.0%} over {row['against']}"
        yield f"{segment}: called {row['call']}, and {right} is true ({gain})"


def _calls(verdict: Mapping[str, Any], truth: Truth) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    for row in verdict["segments"]:
        if row["segment"] in truth.tailored:
            yield row["segment"], row, " or ".join(truth.right(row["segment"]))
