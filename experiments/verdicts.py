"""The verdict: for each segment tailor, mass or keep testing, and what that mix is worth against one message."""

from collections.abc import Mapping
from collections.abc import Sequence

from experiments.beliefs import Beliefs
from experiments.columns import Table
from experiments.contests import calls
from experiments.contests import contests
from experiments.contests import segment_call
from experiments.contests import unprofitable
from experiments.estimates import Book
from experiments.estimates import visitors_by_segment
from experiments.headlines import headline
from experiments.model import NO_PERSONALISATION
from experiments.model import Experiment
from experiments.objective import Posterior
from experiments.readings import Readings
from experiments.report_shape import Call
from experiments.report_shape import SegmentVerdict
from experiments.report_shape import Tailoring
from experiments.report_shape import Verdict


def verdict(readings: Readings, book: Book, columns: Table, *, beliefs: Beliefs, min_cell: int) -> Verdict:
    """The report's verdict; of arms that fewer visitors than `min_cell` saw it gives the call alone."""
    experiment = readings.experiment
    called, loses = _called(readings, book, columns)
    visitors = visitors_by_segment(experiment, book)
    total = sum(visitors.values())
    segments = [
        _segment(
            experiment, book, beliefs, segment, called,
            loses=segment in loses, share=visitors[segment] / total if total else None, min_cell=min_cell,
        )
        for segment in experiment.segment_keys if segment != NO_PERSONALISATION
    ]
    return {
        "headline": headline(experiment, segments),
        "segments": segments,
        "tailoring": _tailoring(experiment, beliefs, segments),
    }


def headline_alone(readings: Readings, book: Book, columns: Table) -> str:
    """The verdict's headline without its figures, which take longer to work out."""
    called, loses = _called(readings, book, columns)
    visitors = visitors_by_segment(readings.experiment, book)
    return headline(readings.experiment, [
        {
            "segment": segment,
            "call": "none" if segment in loses else segment_call([
                called[segment, arm.key] for arm in readings.experiment.open_arms(segment) if arm.role == "tailored"
            ]),
            "share_of_visitors": visitors[segment],
        }
        for segment in readings.experiment.segment_keys if segment != NO_PERSONALISATION
    ])


def _called(
    readings: Readings, book: Book, columns: Table
) -> tuple[Mapping[tuple[str, str], Call], frozenset[str]]:
    """The call of each tailored arm by segment, and where nothing earns more; from a part of the data there is none."""
    called = calls(contests(readings, book, columns))
    if not readings.is_complete:
        return dict.fromkeys(called, "keep_testing"), frozenset()
    return called, unprofitable(readings, book)


def _segment(
    experiment: Experiment,
    book: Book,
    beliefs: Beliefs,
    segment: str,
    called: Mapping[tuple[str, str], Call],
    *,
    loses: bool,
    share: float | None,
    min_cell: int,
) -> SegmentVerdict:
    mass = experiment.first_mass.key
    tailored = [arm.key for arm in experiment.open_arms(segment) if arm.role == "tailored"]
    arm, call = _choose(tailored, beliefs.alone(segment), {key: called[segment, key] for key in tailored}, mass)
    is_shown = arm != mass and min(book[segment, shown].visitors for shown in (arm, mass)) >= min_cell
    gain = beliefs.gain(segment, arm, mass) if is_shown else None
    return {
        "segment": segment,
        "call": "none" if loses else call,
        "arm": arm,
        "against": mass if arm != mass else None,
        "probability": gain.probability if gain else None,
        "gain": gain.interval() if gain else None,
        "share_of_visitors": share,
    }


def _choose(
    tailored: Sequence[str], posteriors: Mapping[str, Posterior], call_by_arm: Mapping[str, Call], mass: str
) -> tuple[str, Call]:
    """The arm that the segment's line is about, and the call on it."""
    if not tailored:
        return mass, "mass"
    call = segment_call(call_by_arm.values())
    return max((arm for arm in tailored if call_by_arm[arm] == call), key=lambda arm: posteriors[arm].mean), call


def _tailoring(experiment: Experiment, beliefs: Beliefs, segments: Sequence[SegmentVerdict]) -> Tailoring:
    """What tailoring adds per visitor wherever it was not ruled out, with the rest on the one message."""
    kept = {
        row["segment"]: (row["arm"], share)
        for row in segments
        if row["call"] in ("tailor", "keep_testing") and (share := row["share_of_visitors"])
    }
    if not kept:
        return {"gain_per_visitor": None, "gain_over_audience": None, "probability": None}
    gain = beliefs.mix(
        {segment: arm for segment, (arm, _) in kept.items()},
        experiment.first_mass.key,
        shares={segment: share for segment, (_, share) in kept.items()},
    )
    return {
        "gain_per_visitor": gain.interval(),
        "gain_over_audience": gain.over(experiment.audience).interval() if experiment.audience else None,
        "probability": gain.probability,
    }
