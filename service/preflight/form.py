"""The form of a pre-flight: a few texts, and the assumptions that they make. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from experiments.errors import InvalidDocument
from experiments.errors import Problem
from experiments.model import Experiment
from experiments.model import NO_PERSONALISATION
from service.setup.kinds import read_number
from service.setup.kinds import read_percent

MAX_DAYS = 365
#: What the form begins with; what is blank has the pre-flight's own default.
TEXTS = {"days": "30", "visitors_per_day": "", "rate": "5", "uplift": "20", "delay": "", "consent": "100"}


@dataclass(frozen=True)
class Asked:
    """What a pre-flight is asked for."""

    days: int
    assumptions: dict[str, Any]


def asked(texts: Mapping[str, str], experiment: Experiment) -> Asked:
    """The days and the assumptions of a filled-in form.

    :raises InvalidDocument: if the days are none; assumptions have rules of their own.
    """
    days = read_number(texts["days"])
    if not isinstance(days, int) or not 1 <= days <= MAX_DAYS:
        raise InvalidDocument([Problem("days", texts["days"], f"must be a whole number from 1 to {MAX_DAYS}")])
    return Asked(days, {name: value for name, value in _assumptions(texts, experiment).items() if value is not None})


def _assumptions(texts: Mapping[str, str], experiment: Experiment) -> dict[str, Any]:
    rate, uplift = (read_percent(texts[name]) if texts[name] else None for name in ("rate", "uplift"))
    segments = [segment for segment in experiment.segment_keys if segment != NO_PERSONALISATION]
    tailored = {
        segment: {arm.key: uplift for arm in experiment.open_arms(segment) if arm.role == "tailored"}
        for segment in segments
    }
    return {
        "visitors_per_day": read_number(texts["visitors_per_day"]) if texts["visitors_per_day"] else None,
        "base_rates": None if rate is None else dict.fromkeys(segments, rate),
        "uplift": None if uplift is None else {segment: arms for segment, arms in tailored.items() if arms},
        "delay": texts["delay"] or None,
        "consent_share": read_percent(texts["consent"]) if texts["consent"] else None,
    }


#: The field of the form beside which a fault of an assumption stands, by how its path begins.
_FIELDS = {
    "assumptions.visitors_per_day": "visitors_per_day", "assumptions.base_rates": "rate",
    "assumptions.rates": "rate", "assumptions.uplift": "uplift", "assumptions.delay": "delay",
    "assumptions.consent_share": "consent",
}


def faults_by_field(problems: list[Problem]) -> dict[str, str]:
    """What is wrong with each field of the form, one sentence each; what concerns none stands beside the days."""
    found: dict[str, str] = {}
    for problem in problems:
        field = next((name for path, name in _FIELDS.items() if problem.field.startswith(path)), "days")
        found.setdefault(field, str(problem).partition(": ")[2])
    return found
