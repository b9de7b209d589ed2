"""The final allocation: everybody of a segment gets the arm that its call is for. Pure."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import TypedDict

from experiments.allocation import GRAIN
from experiments.allocation import Weights
from experiments.model import Experiment
from experiments.report_shape import Call
from experiments.report_shape import SegmentVerdict


class Final(TypedDict):
    """What a segment gets: the arm, and the call that says so; null for segments outside the verdict."""

    arm: str
    call: Call | None


#: By segment.
Finals = Mapping[str, Final]


def final_arms(experiment: Experiment, verdicts: Sequence[SegmentVerdict]) -> dict[str, Final]:
    """The called arm of every segment, else the first mass arm; where no message pays, the first control."""
    verdict_by_segment = {row["segment"]: row for row in verdicts}
    return {segment: _final(experiment, verdict_by_segment.get(segment)) for segment in experiment.segment_keys}


def _final(experiment: Experiment, verdict: SegmentVerdict | None) -> Final:
    if verdict is None:
        return {"arm": experiment.first_mass.key, "call": None}
    if verdict["call"] == "tailor":
        return {"arm": verdict["arm"], "call": "tailor"}
    if verdict["call"] == "none":
        return {"arm": next(experiment.controls()).key, "call": "none"}
    return {"arm": experiment.first_mass.key, "call": verdict["call"]}


def final_weights(experiment: Experiment, finals: Finals) -> Weights:
    """All of a segment's traffic on its arm, but for the one ten-thousandth that every other open arm keeps."""
    return {
        segment: _all_on(finals[segment]["arm"], [arm.key for arm in experiment.open_arms(segment)])
        for segment in experiment.segment_keys
    }


def _all_on(chosen: str, arms: Sequence[str]) -> dict[str, int]:
    return {arm: GRAIN - len(arms) + 1 if arm == chosen else 1 for arm in arms}
