"""A pre-flight by context: it wins where attributes matter inside segments, and loses little where they do not."""

from typing import Any

import numpy as np
import pytest

from experiments.contexts import Contexts
from experiments.contexts import combinations
from experiments.contexts import kept_values
from experiments.document import parse_document
from experiments.errors import InvalidDocument
from experiments.model import Attribute
from experiments.reading.assumptions import read_assumptions
from experiments.simulation.context_campaign import ContextCampaign
from experiments.simulation.context_world import kept_name
from experiments.simulation.forecasts import Forecast
from experiments.simulation.preflight import preflight
from tests.experiments.flights import flight
from tests.experiments.flights import goal

LETTER = "letter-taste-0"
MATTERS = {"member": {"true": {"share": 0.4, "uplift": {LETTER: 0.8}}, "false": {"uplift": {LETTER: -0.6}}}}


def document(**changes: Any) -> dict[str, Any]:
    """One letter or another for whoever has the taste; members may like the second better than others do."""
    attributes = {"taste": "string", "member": {"type": "boolean", "store": True}}
    return flight(policy={"kind": "contextual_thompson"}, attributes=attributes, **changes)


def assumed(**changes: Any) -> dict[str, Any]:
    """Nearly all have the taste, one in ten reaches the goal, and the letters are equally good on average."""
    return {
        "visitors_per_day": 2000,
        "segment_shares": {"taste-0": 0.9, "everyone-else": 0.1},
        "base_rates": {"taste-0": 0.1},
        "uplift": {"taste-0": {LETTER: 0.0}},
        **changes,
    }


def fly(assumptions: dict[str, Any], *, days: int = 10, runs: int = 6, **changes: Any) -> dict[str, Forecast]:
    """The forecasts by policy."""
    found = preflight(document(**changes), assumptions, days=days, runs=runs, seed=1)
    assert found.own == "contextual_thompson"
    return {one.policy: one for one in found.policies}


def test_where_an_attribute_matters_inside_segments_weights_by_context_win() -> None:
    policies = fly(assumed(attributes=MATTERS))
    contextual, by_segment = policies["contextual_thompson"].goals, policies["thompson"].goals
    assert contextual.won > by_segment.won + 5 * np.hypot(contextual.error, by_segment.error)
    assert contextual.won > 0.15 * policies["fixed"].goals.mean


def test_where_no_attribute_matters_weights_by_context_lose_little() -> None:
    policies = fly(assumed(uplift={"taste-0": {LETTER: 0.5}}))
    contextual, by_segment = policies["contextual_thompson"].goals, policies["thompson"].goals
    assert contextual.won == pytest.approx(by_segment.won, rel=0.1)


def test_a_policy_by_context_is_advised_where_it_is_worth_it() -> None:
    found = preflight(document(), assumed(attributes=MATTERS), days=8, runs=4, seed=2)
    assert found.advice.policy == "contextual_thompson"
    assert found.advice.sentences[0].startswith("Use Thompson by context")


@pytest.mark.parametrize("kind", ["conversion", "value"])
def test_cells_by_context_sum_to_those_of_segments(kind: str) -> None:
    worth = {"kind": "value", "property": "revenue", "cap": 500} if kind == "value" else {}
    experiment = parse_document(document(metrics=[goal(**worth)]))
    assumptions = read_assumptions(assumed(attributes=MATTERS, consent_share=0.8), experiment, days=6)
    contexts = assumptions.contexts(experiment)
    assert contexts is not None
    world = assumptions.world(experiment)
    # 40 % of .18 and 60 % of .04.
    assert world.rates[0].tolist() == pytest.approx([0.1, 0.096])
    campaign = ContextCampaign(experiment, world, contexts, days=6, rng=np.random.default_rng(3))
    for _ in range(6):
        campaign.live(4000)
        campaign.reallocate()
    cells = campaign.columns("purchase")["purchase"]
    assert cells.n.sum() == campaign.n.sum() == 6 * 4000
    assert set(cells.by_context()) == {'{"member":true}', '{"member":false}'}
    assert set(cells.by_segment()["no-personalisation"].contexts()) == {""}
    inputs = campaign.inputs()
    for segment, of in inputs.items():
        own = cells.by_segment()[segment]
        assert sum(arm.visitors for arm in of.arms.values()) == own.n.sum()
        if of.contexts:
            assert sum(arm.visitors for arms in of.contexts.values() for arm in arms.values()) == own.n.sum()
    newest = campaign.allocations[campaign.epoch]
    assert newest.contexts["taste-0"]['{"member":true}'][LETTER] > 8000
    assert newest.contexts["taste-0"]['{"member":false}'][LETTER] < 2000


def test_values_are_named_as_contexts_keep_them() -> None:
    attributes = {
        "a": Attribute("boolean", store=True), "b": Attribute("number", store=True, bands=(30, 60)),
        "c": Attribute("string", store=True, bands=("x", "null")), "d": Attribute("list", store=True, bands=("x",)),
    }
    names = {name: [kept_name(kept) for kept in kept_values(attribute)] for name, attribute in attributes.items()}
    assert names == {
        "a": ["true", "false"], "b": ["0", "1", "2"], "c": ["x", '"null"', "null"],
        "d": ['["x",null]', '["x"]', "[null]", "[]"],
    }
    assert Contexts(attributes).of({"d": ["x", "other"]}) == '{"d":["x",null]}'
    for name, attribute in attributes.items():
        assert combinations({name: attribute}) == len(names[name]) + 1


@pytest.mark.parametrize(
    ("attributes", "field", "rule"),
    [
        ({"height": {}}, "height", "is not a field here; known are member"),
        ({"taste": {}}, "taste", "is not a field here; known are member"),
        ({"member": {"yes": {}}}, "member.yes", "is not a field here; known are true, false"),
        ({"member": {"true": {"share": 1.2}}}, "member.true.share", "must be"),
        ({"member": {"true": {"uplift": {"letter": 1}}}}, "member.true.uplift.letter", "is not a field here"),
        ({"member": {"true": {"uplift": {LETTER: -2}}}}, f"member.true.uplift.{LETTER}", "must be"),
        ({"member": {"true": {"share": 0.5}, "false": {"share": 0.4}}}, "member", "sum to 0.9, must be 1"),
        ({"member": {"true": []}}, "member.true", "must be an object"),
    ],
)
def test_what_no_attribute_can_be_is_refused_by_its_path(attributes: object, field: str, rule: str) -> None:
    with pytest.raises(InvalidDocument) as refused:
        read_assumptions({"attributes": attributes}, parse_document(document()), days=3)
    (problem,) = refused.value.problems
    assert problem.field == f"assumptions.attributes.{field}"
    assert rule in problem.rule


def test_a_context_whose_rate_would_pass_1_is_refused() -> None:
    with pytest.raises(InvalidDocument, match="is its highest rate then, must be at most 1"):
        lift = {"member": {"true": {"uplift": {LETTER: 20}}}}
        read_assumptions({"attributes": lift}, parse_document(document()), days=3)


def test_attributes_are_for_a_policy_by_context_only() -> None:
    with pytest.raises(InvalidDocument, match="are for policy.kind contextual_thompson; this policy is thompson"):
        read_assumptions({"attributes": MATTERS}, parse_document(flight()), days=3)
