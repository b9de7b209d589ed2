"""The headline: the verdict in one sentence."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from experiments.model import EVERYONE_ELSE
from experiments.model import Experiment


def headline(experiment: Experiment, segments: Sequence[Mapping[str, Any]]) -> str:
    """What to do, for whom, in one sentence."""
    if not any(row["share_of_visitors"] for row in segments):
        return "Nobody has been exposed yet."
    by_call = {
        call: [row["segment"] for row in segments if row["call"] == call]
        for call in ("tailor", "mass", "keep_testing", "none")
    }
    if len(by_call["none"]) == len(segments):
        return "No message earns more than it costs: send nothing."
    if not by_call["tailor"] and not by_call["keep_testing"] and not by_call["none"]:
        return f"Send everyone {_mass(experiment)}: tailoring does not pay."
    clauses = [_tailor(by_call["tailor"]), _keep(by_call["keep_testing"]), _none(by_call["none"])]
    rest = f"send {_the_rest(by_call)} {_mass(experiment)}" if by_call["mass"] else ""
    sentence = "; ".join(clause for clause in [*clauses, rest] if clause)
    return sentence[0].upper() + sentence[1:] + "."


def _tailor(segments: Sequence[str]) -> str:
    return f"tailor for {listed(segments)}" if segments else ""


def _keep(segments: Sequence[str]) -> str:
    return f"keep testing {listed(segments)}" if segments else ""


def _none(segments: Sequence[str]) -> str:
    return f"send nothing to {listed(segments)}" if segments else ""


def _the_rest(by_call: Mapping[str, Sequence[str]]) -> str:
    others = [segment for call, segments in by_call.items() if call != "mass" for segment in segments]
    return "everyone else" if others and EVERYONE_ELSE in by_call["mass"] else listed(by_call["mass"])


def _mass(experiment: Experiment) -> str:
    return "the one message" if experiment.first_mass.key == "mass" else _readable(experiment.first_mass.key)


def _readable(key: str) -> str:
    """`one-letter` reads as `the one letter`."""
    return "the " + key.replace("-", " ").replace("_", " ")


def listed(names: Sequence[str]) -> str:
    """Names as a sentence lists them, of many only the first."""
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
