"""The gallery: documents that work, whose truth confirms the verdict, and that the form begins from."""

from typing import Any
from typing import get_args

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from experiments.allocation import first_allocation
from experiments.assignment import Plan as Deciding
from experiments.lifecycle import find
from experiments.reading.segments import SegmentKind
from experiments.simulation.outcomes import Outcome
from experiments.simulation.outcomes import Plan
from experiments.simulation.outcomes import run
from experiments.simulation.preflight import preflight
from service.demo.crowd import crowd
from service.demo.simulated import simulated
from service.gallery.entries import Entry
from service.gallery.entries import gallery
from service.installation import Installation
from tests.service.conftest import bearer
from tests.service.conftest import count_rows
from tests.service.people import Someone
from tests.service.people import logged_in

ENTRIES = pytest.mark.parametrize("entry", gallery().values(), ids=gallery())


@pytest.fixture(name="ann")
def _ann(app: Flask, installation: Installation) -> Someone:
    return logged_in(app, installation, "editor")


def test_there_is_a_campaign_of_every_kind_and_each_has_one_kind() -> None:
    kinds = {entry.name: {segment["kind"] for segment in entry.document["segments"]} for entry in gallery().values()}
    assert all(len(of_entry) == 1 for of_entry in kinds.values())
    assert {entry.kind for entry in gallery().values()} == set(get_args(SegmentKind))


def test_the_truths_cover_tailoring_the_one_message_and_no_message_and_one_is_by_profit() -> None:
    truths = {entry.name: entry.truth for entry in gallery().values()}
    calls = {name: {truth.right(segment) for segment in truth.tailored} for name, truth in truths.items()}
    # Only what cannot be disputed makes an example.
    assert all(len(right) == 1 for found in calls.values() for right in found)
    assert {call for found in calls.values() for right in found for call in right} == {"tailor", "mass", "none"}
    assert {("mass",)} in calls.values()
    assert "profit" in {entry.experiment.objective for entry in gallery().values()}


def plan_of(entry: Entry) -> Plan:
    """What a simulation of the entry goes by."""
    experiment, assumptions = entry.experiment, entry.assumptions
    return Plan(experiment, assumptions.world(experiment), entry.truth, entry.days, assumptions.visitors_per_day)


def is_right(outcome: Outcome, entry: Entry) -> bool:
    """Whether every segment has a verdict, and a true one."""
    return outcome.called.keys() == entry.truth.tailored.keys() and all(one.is_right for one in outcome.called.values())


@ENTRIES
def test_its_truth_confirms_the_verdict_of_nearly_every_campaign(entry: Entry) -> None:
    plan = plan_of(entry)
    outcomes = [run(plan, rng=np.random.default_rng((1, number))) for number in range(10)]
    assert sum(is_right(outcome, entry) for outcome in outcomes) >= 9


@ENTRIES
def test_a_preflight_takes_its_document_and_what_is_true_of_its_visitors(entry: Entry) -> None:
    found = preflight(dict(entry.document), dict(entry.assumed), days=2, runs=2, seed=1)
    assert found.experiment == entry.name
    assert found.assumptions == entry.assumptions


@ENTRIES
def test_its_visitors_fall_into_the_segments_that_they_belong_to_as_often_as_is_true(entry: Entry) -> None:
    deciding, assumptions = Deciding(entry.experiment, first_allocation(entry.experiment)), entry.assumptions
    visitors = [visitor for day in crowd(entry, seed=3) for visitor in day]
    assert len({visitor.id for visitor in visitors}) == len(visitors) == simulated(entry).size
    for visitor in visitors[:300]:
        assert deciding.segment_of(visitor.attributes) == visitor.segment
    for segment, share in assumptions.segment_shares.items():
        n = sum(visitor.segment == segment for visitor in visitors)
        assert abs(n - share * len(visitors)) < 5 * (len(visitors) * share * (1 - share)) ** 0.5


@ENTRIES
def test_its_visitors_reach_the_goal_as_often_and_as_fast_as_is_true(entry: Entry) -> None:
    goal, assumptions = entry.experiment.goal, entry.assumptions
    visitors = [visitor for day in crowd(entry, seed=4) for visitor in day]
    luck = np.array([visitor.luck for visitor in visitors])
    mean_course = float(assumptions.world(entry.experiment).course(entry.days).mean())
    assert abs((luck < 0.2).mean() - 0.2 * mean_course) < 5 * (0.16 / len(visitors)) ** 0.5
    delays = np.array([visitor.delay_ms for visitor in visitors]) / 1000
    assert delays.min() >= 0 and delays.max() < goal.window_seconds
    worths = np.array([visitor.worth for visitor in visitors])
    assert worths.mean() == pytest.approx(assumptions.values.mean, rel=0.01)


def test_the_page_shows_every_campaign_with_its_story_its_messages_and_its_source(ann: Someone) -> None:
    page = ann.open("/gallery").text
    for entry in gallery().values():
        assert entry.source in page
        assert f'value="{entry.name}"' in page
    for kind in ("Behavioural", "Demographic", "Geographic", "Psychographic", "Firmographic"):
        assert kind in page
    assert "Double points on everything for the lunch box" in page
    assert "You have typed something" not in page


@ENTRIES
def test_starting_from_it_fills_in_the_form_as_a_draft_that_can_be_made_an_experiment(
    ann: Someone, installation: Installation, entry: Entry
) -> None:
    answer = ann.send("/gallery", on="/gallery", name=entry.name)
    assert (answer.status_code, answer.location) == (303, "/new")
    assert count_rows(installation, "experiments") == 0
    form = ann.open("/new?step=check").text
    assert "There is something wrong" not in form
    assert "You have typed something" in ann.open("/gallery").text
    assert ann.send("/new?step=check", on="/new", do="save").status_code == 303
    stored = installation.store.read(lambda session: find(session, entry.name))
    assert stored.document == entry.document


def test_a_campaign_that_the_gallery_does_not_have_is_said_to_be_none(ann: Someone) -> None:
    answer = ann.send("/gallery", on="/gallery", name="<b>x")
    assert answer.status_code == 404
    assert "must be one of also-bought, family-rewards" in answer.text
    assert "<b>x" not in answer.text


def test_programs_get_the_documents_and_the_truth(client: FlaskClient, keys: dict[str, str]) -> None:
    answer = client.get("/v1/gallery", headers=bearer(keys["report"]))
    found: list[dict[str, Any]] = answer.get_json()["campaigns"]
    assert [one["name"] for one in found] == list(gallery())
    created = client.post("/v1/experiments", json=found[0]["experiment"], headers=bearer(keys["admin"]))
    assert created.status_code == 201
    assert client.get("/v1/gallery", headers=bearer(keys["client"])).status_code == 403
