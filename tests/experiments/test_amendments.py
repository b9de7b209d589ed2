import pytest

from experiments.amendments import changes_while_started
from experiments.document import parse_document
from tests.experiments.documents import spring_mailing
from tests.experiments.test_document import changed

FURTHER = {"key": "another", "role": "mass", "message": {"subject": "Spring, again"}}


def fields_refused(document):
    changes = changes_while_started(parse_document(spring_mailing()), parse_document(document))
    return [problem.field for problem in changes]


@pytest.mark.parametrize(("path", "value"), [
    (["name"], "A better name"),
    (["hypothesis"], "Another one."),
    (["audience"], 1_000),
    (["policy"], {"kind": "fixed", "shares": {"one-letter": 0.5, "womens-letter": 0.5}}),
    (["segments", 0, "name"], "Women's"),
    (["segments", 0, "review_by"], "2028-01-01"),
    (["arms", 3], FURTHER),
    (["arms", 3], {"key": "x", "role": "tailored", "segments": ["womens-shoppers"]}),
])
def test_a_started_experiment_allows(path, value):
    assert fields_refused(changed(spring_mailing(), path, value)) == []


def test_an_unchanged_document_changes_nothing():
    assert fields_refused(spring_mailing()) == []


@pytest.mark.parametrize(("path", "value", "field"), [
    (["key"], "other", "key"),
    (["objective"], "revenue", "objective"),
    (["control_share"], 0.2, "control_share"),
    (["currency"], "USD", "currency"),
    (["attributes", "age"], "number", "attributes.age"),
    (["attributes", "recency"], {"type": "number", "store": True, "bands": [6]}, "attributes.recency"),
    (["segments", 0, "rule"], {"womens": False}, "segments[0].rule"),
    (["segments", 0, "kind"], "demographic", "segments[0].kind"),
    (["segments", 1], {"key": "more", "kind": "behavioral", "rule": {"womens": False}}, "segments"),
    (["arms", 1, "message", "body"], "Hello", "arms[1].message"),
    (["arms", 1, "cost_per_exposure"], 0.03, "arms[1].cost_per_exposure"),
    (["arms", 1, "fixed_cost"], 151, "arms[1].fixed_cost"),
    (["arms", 1, "channel"], "sms", "arms[1].channel"),
    (["arms", 2], {"key": "womens-letter", "role": "mass"}, "arms[2].role"),
    (["arms", 2, "key"], "renamed", "arms"),
    (["metrics", 0, "value"], 41, "metrics[0].value"),
    (["metrics", 0, "window"], "7d", "metrics[0].window"),
    (["metrics", 3, "from"], "7d", "metrics[3].from"),
    (["metrics", 0, "source"], "server", "metrics[0].source"),
    (["metrics", 4, "limit"], 0.03, "metrics[4].limit"),
    (["metrics", 5], {"key": "m", "event": "E", "kind": "count", "role": "secondary"}, "metrics"),
])
def test_a_started_experiment_refuses(path, value, field):
    assert field in fields_refused(changed(spring_mailing(), path, value))


def test_arms_may_be_added_between_others_but_not_before_the_first_mass_arm():
    arms = spring_mailing()["arms"]
    assert fields_refused(spring_mailing(arms=[*arms[:2], FURTHER, *arms[2:]])) == []
    assert fields_refused(spring_mailing(arms=[FURTHER, *arms])) == ["arms"]


def test_arms_may_be_neither_removed_nor_reordered():
    arms = spring_mailing()["arms"]
    assert fields_refused(spring_mailing(arms=arms[:2])) == ["arms"]
    assert fields_refused(spring_mailing(arms=arms[::-1])) == ["arms"]


def test_true_in_a_rule_is_not_one():
    old = changed(spring_mailing(), ["arms", 1, "message", "first"], True)
    new = changed(spring_mailing(), ["arms", 1, "message", "first"], 1)
    (problem,) = changes_while_started(parse_document(old), parse_document(new))
    assert problem.field == "arms[1].message"


def test_a_refused_change_names_its_value_and_the_rule():
    changes = changes_while_started(
        parse_document(spring_mailing()), parse_document(changed(spring_mailing(), ["metrics", 0, "value"], 41))
    )
    assert [str(problem) for problem in changes] == [
        "metrics[0].value: 41.0 cannot be changed once the experiment has started"
    ]
