import json
from copy import deepcopy
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from experiments.document import editable
from experiments.document import parse_document
from experiments.errors import InvalidDocument
from experiments.model import Attribute
from experiments.model import Policy
from experiments.model import Tier
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny

ABSENT = object()


def changed(document, path, value):
    """The document with the value at a path of names and indices; an index past the end appends."""
    *parents, last = path
    inner = document
    for step in parents:
        inner = inner[step]
    if value is ABSENT:
        del inner[last]
    elif isinstance(inner, list) and last == len(inner):
        inner.append(value)
    else:
        inner[last] = value
    return document


def problems_of(document):
    with pytest.raises(InvalidDocument) as caught:
        parse_document(document)
    return caught.value.problems


def test_the_example_of_the_contract_is_understood():
    experiment = parse_document(spring_mailing())
    assert experiment.policy == Policy(kind="thompson", every_seconds=3_600, max_step=0.25)
    assert experiment.attributes["womens"] == Attribute("boolean")
    assert experiment.segment_keys == ("womens-shoppers", "everyone-else", "no-personalisation")
    assert [arm.key for arm in experiment.open_arms("womens-shoppers")] == ["nothing", "one-letter", "womens-letter"]
    assert experiment.first_mass.tiers == (Tier(0, Decimal("0.02")),)
    assert experiment.arm_by_key["womens-letter"].fixed_cost == 400
    assert experiment.goal.value == 40
    assert [metric.window_seconds // 86_400 for metric in experiment.metrics] == [14, 14, 14, 60, 14]
    assert [metric.cap for metric in experiment.metrics] == [None, 500, 100, None, None]
    assert (experiment.audience, experiment.control_share, experiment.currency) == (64_000, 0.1, "EUR")


def test_what_a_document_leaves_out_has_the_contract_s_defaults():
    experiment = parse_document(tiny())
    assert (experiment.name, experiment.hypothesis, experiment.objective) == ("tiny", "", "conversion")
    assert experiment.policy == Policy(
        kind="fixed", every_seconds=3_600, min_share=0.05, burn_in=100, burn_in_conversions=10, max_step=0.25,
        maturity=None, shares=None, epsilon=0.1,
    )
    assert (experiment.control_share, experiment.audience, experiment.currency) == (0.0, None, "EUR")
    assert (experiment.attributes, experiment.segments, experiment.local_evaluation) == ({}, (), False)
    assert (experiment.first_mass.message, experiment.first_mass.tiers[0].cost) == ({}, 0)
    assert (experiment.goal.window_seconds, experiment.goal.direction, experiment.goal.source) == (
        1_209_600, "increase", "any",
    )


def test_a_document_means_the_same_after_a_journey_as_json():
    document = spring_mailing()
    assert parse_document(json.loads(json.dumps(document))) == parse_document(document)


def test_what_an_answer_adds_may_be_sent_back():
    answered = spring_mailing(
        state="running", epoch=17,
        created_at="2026-11-01T10:00:00Z", started_at="2026-11-02T10:00:00Z", stopped_at=None,
    )
    assert editable(answered) == spring_mailing()
    assert parse_document(answered) == parse_document(spring_mailing())


def test_parsing_leaves_the_document_alone_and_keeps_no_part_of_it():
    document = spring_mailing()
    experiment = parse_document(document)
    assert document == spring_mailing()
    document["segments"][0]["rule"]["womens"] = False
    assert experiment.segments[0].rule == {"womens": True}


def test_costs_may_be_volume_tiers():
    tiers = [{"from": 0, "cost": 0.02}, {"from": 10000, "cost": 0.012}]
    experiment = parse_document(changed(spring_mailing(), ["arms", 1, "cost_per_exposure"], tiers))
    assert experiment.first_mass.tiers == (Tier(0, Decimal("0.02")), Tier(10_000, Decimal("0.012")))


@pytest.mark.parametrize(("declared", "attribute"), [
    ("number", Attribute("number")),
    ({"type": "boolean"}, Attribute("boolean")),
    ({"type": "string", "store": True, "bands": ["Urban", "Rural"]}, Attribute("string", True, ("Urban", "Rural"))),
    ({"type": "number", "store": True, "bands": [18, 35, 65]}, Attribute("number", True, (18.0, 35.0, 65.0))),
    ({"type": "boolean", "store": True}, Attribute("boolean", True)),
    ({"type": "list", "store": True, "bands": ["news"]}, Attribute("list", True, ("news",))),
    ({"type": "string", "store": True}, Attribute("string", True)),
    ({"type": "string", "store": True, "prefix": 2}, Attribute("string", True, (), 2)),
    ({"type": "number", "store": False}, Attribute("number")),
])
def test_an_attribute_is_declared_by_its_type_or_by_an_object(declared, attribute):
    assert parse_document(tiny(attributes={"home": declared})).attributes == {"home": attribute}


@pytest.mark.parametrize("policy", [
    {"kind": "fixed", "shares": {"one-letter": 0.3, "womens-letter": 0.7}},
    {"kind": "fixed", "shares": {"one-letter": 1, "womens-letter": 0}},
    {"kind": "top_two_thompson", "burn_in": 0, "burn_in_conversions": 0, "max_step": 1, "maturity": "matured"},
    {"kind": "epsilon_greedy", "epsilon": 0, "every": "1s"},
    {"kind": "thompson", "min_share": 0.45},
    {"kind": "thompson", "maturity": "corrected", "half_life": "7d"},
    {"min_share": 0, "burn_in": 100.0},
    {},
])
def test_a_policy_may_be(policy):
    parse_document(spring_mailing(policy=policy))


def test_a_half_life_is_read_in_seconds_and_nothing_is_forgotten_without_one():
    assert parse_document(tiny(policy={"kind": "thompson", "half_life": "7d"})).policy.half_life_seconds == 604_800
    assert parse_document(tiny(policy={"kind": "thompson"})).policy.half_life_seconds is None


def a_goal(**fields):
    return [{"key": "goal", "event": "Bought", "kind": "conversion", "role": "goal", **fields}]


@pytest.mark.parametrize("changes", [
    {"objective": "revenue", "metrics": a_goal(value=40)},
    {"objective": "profit", "metrics": a_goal(kind="value", property="revenue", cap=500)},
    {"objective": "profit", "metrics": a_goal(kind="count", value=0.25)},
    {"local_evaluation": True, "metrics": a_goal(source="server")},
    {"metrics": a_goal(kind="retention", **{"from": "1d"})},
    {"metrics": [*a_goal(), {**a_goal()[0], "key": "calls", "kind": "count", "role": "guardrail", "limit": 3}]},
    {"currency": "JPY", "metrics": a_goal(value=4000)},
    {"audience": 10**10},
    {"arms": [{"key": str(index), "role": "mass"} for index in range(30)]},
])
def test_an_experiment_may_be(changes):
    parse_document(tiny(**changes))


_WOMENS = {"key": "womens-shoppers", "kind": "behavioral", "rule": {"womens": True}}
_TAILORED = {"key": "more", "role": "tailored"}

REFUSALS = [
    # path, value, field, words of the rule
    (["key"], ABSENT, "key", "is required"),
    (["key"], "Spring", "key", "a-z 0-9"),
    (["key"], "", "key", "1 to 64"),
    (["key"], "a" * 65, "key", "1 to 64"),
    (["key"], "spring\n", "key", "1 to 64"),
    (["key"], 7, "key", "1 to 64"),
    (["name"], "", "name", "must not be empty"),
    (["name"], "two\nlines", "name", "control characters"),
    (["name"], "n" * 201, "name", "at most 200 characters"),
    (["name"], None, "name", "must be text"),
    (["hypothesis"], "h" * 2001, "hypothesis", "at most 2000 characters"),
    (["objective"], "clicks", "objective", "must be one of conversion, revenue, profit"),
    (["objective"], ["profit"], "objective", "must be one of"),
    (["audience"], 0, "audience", "from 1 to 10000000000"),
    (["audience"], 2.5, "audience", "a whole number"),
    (["audience"], True, "audience", "must be a number"),
    (["audience"], "many", "audience", "must be a number"),
    (["audience"], 10**10 + 1, "audience", "from 1 to"),
    (["audience"], 10**400, "audience", "within 64 bits"),
    (["audience"], float("nan"), "audience", "a finite number"),
    (["audience"], float("inf"), "audience", "a finite number"),
    (["currency"], "eur", "currency", "three capital letters"),
    (["currency"], "EURO", "currency", "three capital letters"),
    (["local_evaluation"], 1, "local_evaluation", "true or false"),
    (["local_evaluation"], True, "local_evaluation", "source: server at metrics[0]"),
    (["colour"], "red", "colour", "is not a field here; known are key, name"),
    (["control_share"], -0.1, "control_share", "from 0 to 0.9"),
    (["control_share"], 0.95, "control_share", "from 0 to 0.9"),
    (["control_share"], True, "control_share", "must be a number"),
    (["arms", 0, "role"], "mass", "control_share", "must be 0 without an arm of role control"),
    (["policy"], "thompson", "policy", "must be an object"),
    (["policy", "kind"], "bandit", "policy.kind", "must be one of fixed, thompson"),
    (["policy", "kind"], "contextual_thompson", "policy.kind", "needs an attribute with store: true"),
    (["policy", "kind"], {}, "policy.kind", "must be one of"),
    (["policy", "every"], "hourly", "policy.every", "a whole number and a unit"),
    (["policy", "every"], 3600, "policy.every", "must be text"),
    (["policy", "every"], "0s", "policy.every", "from 1s to 365d"),
    (["policy", "min_share"], 0.6, "policy.min_share", "from 0 to 0.5"),
    (["policy", "min_share"], 0.46, "policy.min_share", "times the 2 arms of womens-shoppers exceeds 0.9"),
    (["policy", "burn_in"], -1, "policy.burn_in", "from 0"),
    (["policy", "burn_in"], 1.5, "policy.burn_in", "a whole number"),
    (["policy", "burn_in_conversions"], -1, "policy.burn_in_conversions", "from 0"),
    (["policy", "max_step"], 0, "policy.max_step", "must be above 0"),
    (["policy", "max_step"], 1.1, "policy.max_step", "from 0 to 1"),
    (["policy", "maturity"], "ripe", "policy.maturity", "must be one of observed, corrected, matured"),
    (["policy", "half_life"], "59m", "policy.half_life", "from 1h to 365d"),
    (["policy", "half_life"], 0.5, "policy.half_life", "must be text"),
    (["policy", "half_life"], None, "policy.half_life", "must be text"),
    (["policy", "epsilon"], 1.5, "policy.epsilon", "from 0 to 1"),
    (["policy", "temperature"], 1, "policy.temperature", "is not a field here; known are kind, every"),
    (["policy", "shares"], {"one-letter": 1}, "policy.shares", "thompson makes its own"),
    (["policy"], {"shares": {"one-letter": 0.4, "womens-letter": 0.5}}, "policy.shares", "sum to 0.9, must be 1"),
    (["policy"], {"shares": {"one-letter": 1}}, "policy.shares", "has no share"),
    (["policy"], {"shares": {"one-letter": 0, "womens-letter": 1}}, "policy.shares", "above 0 for a mass arm"),
    (["policy"], {"shares": {"nothing": 0.5, "one-letter": 0.5, "womens-letter": 0}}, "policy.shares.nothing",
     "is not the key of an arm here that is not control"),
    (["policy"], {"shares": {"one-letter": -0.5, "womens-letter": 1}}, "policy.shares.one-letter", "from 0 to 1"),
    (["policy"], {"shares": [1]}, "policy.shares", "must be an object"),
    (["attributes"], ["womens"], "attributes", "must be an object"),
    (["attributes", "womens"], "bool", "attributes.womens", "must be one of string, number"),
    (["attributes", "womens"], None, "attributes.womens", "must be one of"),
    (["attributes", "token"], "string", "attributes.token", "the context gives it another meaning"),
    (["attributes", "consent"], "string", "attributes.consent", "the context gives it another meaning"),
    (["attributes", "targetingKey"], "string", "attributes.targetingKey", "the context gives it another meaning"),
    (["attributes", ""], "string", "attributes.", "1 to 64 printable characters"),
    (["attributes", "a.b"], "string", "attributes.a.b", "without . and $"),
    (["attributes", "$where"], "string", "attributes.$where", "without . and $"),
    (["attributes", "a" * 65], "string", "attributes." + "a" * 64, "1 to 64"),
    (["attributes", "a\tb"], "string", r"attributes.'a\tb'", "printable"),
    (["attributes", "home"], {"store": True}, "attributes.home.type", "is required"),
    (["attributes", "home"], {"type": "text"}, "attributes.home.type", "must be one of"),
    (["attributes", "home"], {"type": "string", "store": "yes"}, "attributes.home.store", "true or false"),
    (["attributes", "home"], {"type": "string", "bands": ["a"]}, "attributes.home.bands", "without store: true"),
    (["attributes", "home"], {"type": "string", "keep": True}, "attributes.home.keep", "known are type, store, bands"),
    (["attributes", "home"], {"type": "number", "store": True, "bands": [3, 3]}, "attributes.home.bands", "ascend"),
    (["attributes", "home"], {"type": "number", "store": True, "bands": ["a"]}, "attributes.home.bands", "a number"),
    (["attributes", "home"], {"type": "string", "store": True, "bands": ["a", "a"]}, "attributes.home.bands", "repeat"),
    (["attributes", "home"], {"type": "string", "store": True, "bands": []}, "attributes.home.bands", "1 to 100"),
    (["attributes", "home"], {"type": "boolean", "store": True, "bands": [1]}, "attributes.home.bands", "two values"),
    (["attributes", "home"], {"type": "number", "store": True}, "attributes.home.bands", "required to store a number"),
    (["attributes", "home"], {"type": "list", "store": True}, "attributes.home.bands", "required to store a list"),
    (["attributes", "home"], {"type": "string", "prefix": 2}, "attributes.home.prefix", "without store: true"),
    (["attributes", "home"], {"type": "string", "store": True, "prefix": 0}, "attributes.home.prefix", "from 1 to 20"),
    (["attributes", "home"], {"type": "number", "store": True, "bands": [1], "prefix": 2}, "attributes.home.prefix",
     "of texts only"),
    (["attributes", "home"], {"type": "string", "store": True, "bands": ["a"], "prefix": 2}, "attributes.home.prefix",
     "where there are bands"),
    (["attributes"], {f"a{index}": "string" for index in range(65)}, "attributes", "at most 64"),
    (["segments"], {}, "segments", "must be a list"),
    (["segments"], [_WOMENS] * 5001, "segments", "at most 5000"),
    (["segments", 0], "everybody", "segments[0]", "must be an object"),
    (["segments", 0, "key"], ABSENT, "segments[0].key", "is required"),
    (["segments", 0, "key"], "everyone-else", "segments[0].key", "is reserved"),
    (["segments", 0, "key"], "no-personalisation", "segments[0].key", "is reserved"),
    (["segments", 1], _WOMENS, "segments[1].key", "is taken already"),
    (["segments", 0, "kind"], ABSENT, "segments[0].kind", "is required"),
    (["segments", 0, "kind"], "political", "segments[0].kind", "must be one of demographic, geographic"),
    (["segments", 0, "rule"], ABSENT, "segments[0].rule", "is required"),
    (["segments", 0, "rule"], "womens", "segments[0].rule", "must be an object"),
    (["segments", 0, "review_by"], "2027-02-30", "segments[0].review_by", "a date like"),
    (["segments", 0, "review_by"], "20270301", "segments[0].review_by", "a date like"),
    (["segments", 0, "review_by"], 2027, "segments[0].review_by", "a date like"),
    (["segments", 0, "share"], 1, "segments[0].share", "is not a field here; known are key, name, kind"),
    (["arms"], [{"key": "nothing", "role": "control"}], "arms", "arms of role mass; must be at least one"),
    (["arms"], "all", "arms", "must be a list"),
    (["arms", 3], None, "arms[3]", "must be an object"),
    (["arms", 1, "role"], ABSENT, "arms[1].role", "is required"),
    (["arms", 1, "role"], "winner", "arms[1].role", "must be one of control, mass, tailored"),
    (["arms", 1, "key"], "nothing", "arms[1].key", "is taken already"),
    (["arms", 1, "segments"], ["womens-shoppers"], "arms[1].segments", "are for tailored arms"),
    (["arms", 0, "segments"], [], "arms[0].segments", "are for tailored arms"),
    (["arms", 2, "segments"], ABSENT, "arms[2].segments", "is required"),
    (["arms", 2, "segments"], [], "arms[2].segments", "one segment's key or more"),
    (["arms", 2, "segments"], "womens-shoppers", "arms[2].segments", "must be a list"),
    (["arms", 2, "segments"], ["mens-shoppers"], "arms[2].segments[0]", "is not the key of a segment here"),
    (["arms", 2, "segments"], ["everyone-else"], "arms[2].segments[0]", "is not the key of a segment here"),
    (["arms", 2, "segments"], ["womens-shoppers"] * 2, "arms[2].segments", "twice"),
    (["arms", 2, "segments"], [{}], "arms[2].segments", "keys of segments"),
    (["arms", 3], {**_TAILORED, "segments": ["womens-shoppers", "x"]}, "arms[3].segments[1]", "is not the key of"),
    (["arms", 0, "message"], {"subject": "Hi"}, "arms[0].message", "must be {} for a control"),
    (["arms", 1, "message"], "Hello", "arms[1].message", "must be an object"),
    (["arms", 1, "channel"], "E-Mail", "arms[1].channel", "a-z 0-9"),
    (["arms", 1, "channel"], "c" * 33, "arms[1].channel", "at most 32 characters"),
    (["arms", 1, "cost_per_exposure"], -0.01, "arms[1].cost_per_exposure", "from 0"),
    (["arms", 1, "cost_per_exposure"], "0.02", "arms[1].cost_per_exposure", "must be a number"),
    (["arms", 1, "cost_per_exposure"], 0.0000001, "arms[1].cost_per_exposure", "at most 6 decimals"),
    (["arms", 1, "cost_per_exposure"], [], "arms[1].cost_per_exposure", "the first is from 0"),
    (["arms", 1, "cost_per_exposure"], [{"from": 1, "cost": 1}], "arms[1].cost_per_exposure", "the first is from 0"),
    (["arms", 1, "cost_per_exposure"], [{"from": 0, "cost": 1}] * 2, "arms[1].cost_per_exposure", "each further one"),
    (["arms", 1, "cost_per_exposure"], [{"from": n, "cost": 1} for n in range(21)], "arms[1].cost_per_exposure",
     "at most 20"),
    (["arms", 1, "cost_per_exposure"], [{"cost": 1}], "arms[1].cost_per_exposure[0].from", "is required"),
    (["arms", 1, "cost_per_exposure"], [{"from": 0}], "arms[1].cost_per_exposure[0].cost", "is required"),
    (["arms", 1, "cost_per_exposure"], [0.02], "arms[1].cost_per_exposure[0]", "must be an object"),
    (["arms", 1, "fixed_cost"], -1, "arms[1].fixed_cost", "from 0"),
    (["arms", 1, "fixed_cost"], False, "arms[1].fixed_cost", "must be a number"),
    (["arms", 1, "weight"], 1, "arms[1].weight", "is not a field here; known are key, role"),
    (["metrics"], ABSENT, "metrics", "goals; must be exactly one"),
    (["metrics", 0, "role"], "secondary", "metrics", "goals; must be exactly one"),
    (["metrics", 1, "role"], "goal", "metrics", "goals; must be exactly one"),
    (["metrics", 1, "key"], "purchase", "metrics[1].key", "is taken already"),
    (["metrics", 0, "role"], "main", "metrics[0].role", "must be one of goal, secondary, guardrail"),
    (["metrics", 0, "kind"], "ratio", "metrics[0].kind", "must be one of conversion, count, value, retention"),
    (["metrics", 0, "kind"], ABSENT, "metrics[0].kind", "is required"),
    (["metrics", 0, "event"], ABSENT, "metrics[0].event", "is required"),
    (["metrics", 0, "event"], " ", "metrics[0].event", "must not be empty"),
    (["metrics", 0, "event"], "Experiment Viewed", "metrics[0].event", "is the exposure itself"),
    (["metrics", 0, "direction"], "decrease", "metrics[0].direction", "the goal must be to increase"),
    (["metrics", 0, "direction"], "up", "metrics[0].direction", "must be one of increase, decrease"),
    (["metrics", 0, "source"], "browser", "metrics[0].source", "must be one of any, server"),
    (["metrics", 0, "window"], "0d", "metrics[0].window", "from 1s to 365d"),
    (["metrics", 0, "window"], "366d", "metrics[0].window", "from 1s to 365d"),
    (["metrics", 0, "window"], 14, "metrics[0].window", "must be text"),
    (["metrics", 0, "value"], -1, "metrics[0].value", "from 0 to 1000000"),
    (["metrics", 0, "cap"], 5, "metrics[0].cap", "is not for metrics of kind conversion"),
    (["metrics", 0, "property"], "revenue", "metrics[0].property", "is not for metrics of kind conversion"),
    (["metrics", 0, "from"], "1d", "metrics[0].from", "is not for metrics of kind conversion"),
    (["metrics", 0, "limit"], 0.5, "metrics[0].limit", "is for guardrails"),
    (["metrics", 0, "weight"], 1, "metrics[0].weight", "is not a field here; known are key, event"),
    (["metrics", 1, "property"], ABSENT, "metrics[1].property", "is required"),
    (["metrics", 1, "cap"], ABSENT, "metrics[1].cap", "is required"),
    (["metrics", 1, "cap"], 0, "metrics[1].cap", "must be above 0"),
    (["metrics", 1, "cap"], 1000001, "metrics[1].cap", "from 0 to 1000000"),
    (["metrics", 1, "cap"], 0.001, "metrics[1].cap", "at most 2 decimals"),
    (["metrics", 1, "value"], 1, "metrics[1].value", "is not for metrics of kind value"),
    (["metrics", 2, "cap"], 0, "metrics[2].cap", "must be above 0"),
    (["metrics", 2, "cap"], 1.5, "metrics[2].cap", "at most 0 decimals"),
    (["metrics", 3, "from"], ABSENT, "metrics[3].from", "is required"),
    (["metrics", 3, "from"], "60d", "metrics[3].from", "before the window's end"),
    (["metrics", 3, "window"], ABSENT, "metrics[3].from", "before the window's end"),
    (["metrics", 4, "limit"], ABSENT, "metrics[4].limit", "is required"),
    (["metrics", 4, "limit"], 0, "metrics[4].limit", "must be above 0"),
    (["metrics", 4, "limit"], 1.5, "metrics[4].limit", "from 0 to 1"),
    (["hypothesis"], "\ud800", "hypothesis", "UTF-8"),
    (["hypothesis"], "a\0b", "hypothesis", "NUL"),
    (["arms", 1, "message", "\udfff"], "x", "arms[1].message", "UTF-8"),
    (["segments", 0, "rule", "womens"], {"$eq": 2**63}, "segments[0].rule.womens.$eq", "within 64 bits"),
]


@pytest.mark.parametrize(("path", "value", "field", "words"), REFUSALS)
def test_a_document_that_breaks_a_rule_is_refused_by_field_and_rule(path, value, field, words):
    found = [(problem.field, problem.rule) for problem in problems_of(changed(spring_mailing(), path, value))]
    assert len(found) == 1
    assert found[0][0] == field
    assert words in found[0][1]


@pytest.mark.parametrize("document", [None, True, 7, "text", [], [{}]])
def test_what_is_no_object_is_no_document(document):
    assert [problem.rule for problem in problems_of(document)] == ["must be an object"]


@pytest.mark.parametrize(("goal", "objective"), [
    ({"kind": "conversion"}, "revenue"), ({"kind": "conversion"}, "profit"), ({"kind": "count"}, "profit"),
    ({"kind": "retention", "from": "1d"}, "revenue"),
])
def test_money_cannot_be_the_objective_of_a_goal_without_money(goal, objective):
    (problem,) = problems_of(tiny(objective=objective, metrics=a_goal(**goal)))
    assert (problem.field, problem.value) == ("objective", objective)
    assert "`value` of metrics[0]" in problem.rule


def test_the_default_floor_of_a_bandit_leaves_room_for_twenty_arms_only():
    arms = [{"key": str(index), "role": "mass"} for index in range(21)]
    parse_document(tiny(arms=arms[:20], policy={"kind": "thompson"}))
    (problem,) = problems_of(tiny(arms=arms, policy={"kind": "thompson"}))
    assert (problem.field, problem.value) == ("policy.min_share", 0.05)


@pytest.mark.parametrize(("currency", "cost"), [("JPY", 0.00001), ("EUR", 0.0000001), ("KWD", 0.00000001)])
def test_a_cost_is_no_finer_than_a_ten_thousandth_of_the_minor_unit(currency, cost):
    arms = [{"key": "a", "role": "mass", "cost_per_exposure": cost}]
    (problem,) = problems_of(tiny(arms=arms, currency=currency))
    assert problem.field == "arms[0].cost_per_exposure"


def test_every_fault_is_reported_at_once():
    document = spring_mailing(key="?", audience=-1, control_share=2, colour="red")
    document["arms"][1]["role"] = "winner"
    document["segments"][0]["kind"] = "political"
    document["metrics"][1]["cap"] = None
    document["metrics"][2]["role"] = "goal"
    fields = {problem.field for problem in problems_of(document)}
    assert fields == {
        "key", "audience", "control_share", "colour", "arms[1].role", "segments[0].kind", "metrics[1].cap", "metrics",
    }


def test_a_document_without_arms_and_metrics_is_told_what_it_lacks():
    assert [str(problem) for problem in problems_of({"key": "empty"})] == [
        "arms: 0 arms of role mass; must be at least one", "metrics: 0 goals; must be exactly one",
    ]


def test_the_message_names_field_value_and_rule():
    with pytest.raises(InvalidDocument, match=r"policy\.max_step: 2 must be from 0 to 1"):
        parse_document(spring_mailing(policy={"max_step": 2}))


def test_a_rule_on_an_attribute_that_is_not_declared_is_refused():
    problems = problems_of(changed(spring_mailing(), ["segments", 0, "rule"], {"mens": True}))
    assert problems and all(problem.field.startswith("segments[0].rule") for problem in problems)


def test_a_message_that_is_no_template_is_refused():
    problems = problems_of(changed(spring_mailing(), ["arms", 1, "message", "body"], "Hello {{ first_name"))
    assert problems and all(problem.field.startswith("arms[1].message") for problem in problems)


def test_rules_and_messages_are_not_blamed_for_a_faulty_attribute():
    (problem,) = problems_of(changed(spring_mailing(), ["attributes", "womens"], "bool"))
    assert problem.field == "attributes.womens"


@pytest.mark.parametrize("depth", [65, 100_000])
def test_a_document_nested_too_deep_is_refused_and_its_error_can_be_shown(depth):
    nested: object = {}
    for _ in range(depth):
        nested = [nested]
    with pytest.raises(InvalidDocument, match="must not be nested deeper than 64"):
        parse_document(spring_mailing(hypothesis=nested))


def test_a_number_too_long_to_be_written_is_refused_and_its_error_can_be_shown():
    with pytest.raises(InvalidDocument, match="'an integer of 33220 bits' must be within 64 bits"):
        parse_document(spring_mailing(audience=10**10_000))


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, Decimal(1), (1,), object()])
def test_what_json_does_not_have_is_refused(value):
    (problem,) = problems_of(spring_mailing(audience=value))
    assert (problem.field, problem.rule) == ("audience", "is not a JSON value")


def test_the_largest_document_is_parsed():
    segments = [{"key": f"s{index}", "kind": "behavioral", "rule": {"womens": True}} for index in range(5_000)]
    arm = {"key": "all", "role": "tailored", "segments": [segment["key"] for segment in segments]}
    document = spring_mailing(segments=segments)
    document["arms"][2] = arm
    assert len(parse_document(document).segments) == 5_000


TEXT = st.text(st.characters(codec=None), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
JSON_VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)
NAMES = st.sampled_from(sorted({*spring_mailing(), *spring_mailing()["arms"][1], *spring_mailing()["metrics"][1]}))
WORDS = st.sampled_from([
    "mass", "control", "tailored", "goal", "value", "retention", "1d", "EUR", "number",
    "{{ womens", "{% if", "{{ recency | default: }}", "{% for a in (1..9999999) %}{% endfor %}",
])
FAMILIAR = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | TEXT, inner, max_size=6),
    max_leaves=30,
)


def either_an_experiment_or_refused(document):
    try:
        parse_document(document)
    except InvalidDocument as refusal:
        assert refusal.problems
        json.dumps([str(problem) for problem in refusal.problems]).encode()


@given(JSON_VALUES | FAMILIAR)
def test_any_json_value_is_an_experiment_or_refused(document):
    either_an_experiment_or_refused(document)


@given(st.dictionaries(NAMES, FAMILIAR, max_size=10))
def test_any_object_of_known_fields_is_an_experiment_or_refused(document):
    either_an_experiment_or_refused(document)


def places(value, path=()):
    """The path of every value inside a document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in inside:
        yield (*path, step)
        yield from places(inner, (*path, step))


@settings(max_examples=400)
@given(st.sampled_from(list(places(spring_mailing()))), FAMILIAR | st.just(ABSENT))
def test_any_single_change_of_a_good_document_is_an_experiment_or_refused(path, value):
    either_an_experiment_or_refused(changed(spring_mailing(), path, deepcopy(value) if value is not ABSENT else value))
