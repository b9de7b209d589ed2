"""Whether a report may be believed, in words: quiet checks, and loud warnings where one fails. Pure."""

from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from experiments.restraints import Restraints
from service.wording import count
from service.wording import moment
from service.wording import share


class Check(NamedTuple):
    """One thing that was checked, what was found, and what it means; `loud` where it must not be overlooked."""

    name: str
    found: str
    meaning: str
    loud: bool = False


def warnings(report: Mapping[str, Any]) -> Iterator[str]:
    """What must be known before the report is acted on."""
    diagnostics = report["diagnostics"]
    yield from _held(diagnostics.get("alarm"), diagnostics.get("refused"))
    if diagnostics["sample_ratio"]["alarm"]:
        yield "Visitors did not arrive in the planned shares. Find the cause before acting on any figure here."
    for rail in report.get("guardrails", ()):
        if rail["breached"]:
            side = "above" if rail["direction"] == "decrease" else "below"
            yield f"{rail['arm']} has pushed {rail['metric']} {side} its limit of {rail['limit']:g} per visitor."
        if rail["barred"]:
            yield _barred(rail["arm"], rail["metric"])
    if not diagnostics["complete"]:
        yield _partial(report["watermark"])
    yield from map(_lost, diagnostics["lost_spools"])
    if not diagnostics["intervals_valid"]:
        yield "Conversions are too rare in places to promise what the intervals say."


def restraint_warnings(restraints: Restraints) -> Iterator[str]:
    """What the service has done out of caution, and what a person has to do about it."""
    yield from _held(restraints.alarm, restraints.refused)
    for arm, metric in restraints.barred.items():
        yield _barred(arm, metric)


def _partial(watermark: str) -> str:
    return (
        f"Not all that came since {moment(watermark)} is counted yet, since a part of the service is away or behind."
        " Until it is, nothing here is decided and traffic stays as it is."
    )


def _lost(spool: Mapping[str, str]) -> str:
    since = moment(spool["since"])
    return f"Some of what was accepted since {since} is lost with a node's disk, and is counted nowhere."


def _held(alarm: str | None, refused: str | None) -> Iterator[str]:
    if alarm:
        yield f"The service froze the weights. {alarm}. Find the cause, then unfreeze it."
    if refused:
        yield f"Weights stay where they are: {refused}."


def _barred(arm: str, metric: str) -> str:
    return f"{arm} lost its traffic to the one message for breaking the limit of {metric}."


def checks(report: Mapping[str, Any]) -> Iterator[Check]:
    """Everything that was checked."""
    found = report["diagnostics"]
    yield _sample_ratio(found["sample_ratio"])
    yield Check(
        "Complete", _yes(found["complete"]), "Whether everything received had been counted.", not found["complete"]
    )
    yield Check(
        "Intervals hold", _yes(found["intervals_valid"]), " ".join(found["notes"]) or "Enough conversions everywhere.",
        not found["intervals_valid"],
    )
    if lost := found["lost_spools"]:
        yield Check("Lost", count(len(lost)), "Nodes whose disk was lost with some of what they had accepted.", True)
    yield Check("Matured", share(found["matured_share"]), "Visitors whose time to respond is over.")
    yield Check("Waiting", count(found["waiting"]), "Outcomes that came before their exposure, kept until it comes.")
    yield Check("Orphans", count(found["orphans"]), "Outcomes whose exposure never came.")
    yield Check("Duplicates", count(found["duplicates"]), "Events sent more than once, counted once.")
    yield Check("Rejected", count(found["rejected"]), "Events that could not be counted.")
    if (consent := found.get("consent")) and consent["personalise"] is not None:
        meaning = _generality(consent["mass_when_measured"])
        yield Check("Without consent to tailoring", share(1 - consent["personalise"]), meaning)
    yield Check("Asserted", count(found["asserted"]), "Visitors shown another arm than assigned, left out.")


def _generality(gap: Mapping[str, Any] | None) -> str:
    """How far what is found holds for those who do not consent."""
    told = "Evaluations of people who are not tailored for; the figures on tailoring are of the others."
    if gap is None:
        return f"{told} Whether it would do the same for these cannot be told."
    if gap["low"] <= 0 <= gap["high"]:
        return f"{told} Of those who are measured only, the one message does about as well as with the others."
    side = "better" if gap["mean"] > 0 else "worse"
    return f"{told} The one message does {side} with those who are measured only: they differ, so take care with both."


def _sample_ratio(found: Mapping[str, Any]) -> Check:
    meaning = "Visitors did not arrive in the planned shares." if found["alarm"] else (
        "Visitors arrived in the planned shares, as far as chance allows."
    )
    return Check("Shares as planned", _p_value(found["p_value"]), meaning, found["alarm"])


def _p_value(p_value: float | None) -> str:
    if p_value is None:
        return "not tested yet"
    return f"p = {p_value:.2g}" if p_value >= 0.0001 else "p < 0.0001"


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"
