from typing import Any

import pytest
import re2

from experiments.model import Attribute
from experiments.rules.checks import check_rule
from experiments.rules.conditions import compile_rule
from experiments.rules.patterns import InvalidPattern
from experiments.rules.patterns import compile_pattern
from experiments.rules.patterns import found_in

ATTRIBUTES = {
    "recency": Attribute("number"),
    "womens": Attribute("boolean"),
    "zip": Attribute("string"),
    "app": Attribute("version"),
    "tags": Attribute("list"),
    "$odd": Attribute("string"),
}

#: Patterns that take exponential or polynomial time where an engine backtracks.
EVIL_PATTERNS = [
    "(a+)+$",
    "(a*)*b",
    "(a|a)*b",
    "(a|aa)+$",
    "(.*a){20}",
    "^(([a-z])+.)+[A-Z]([a-z])+$",
    "(x+x+)+y",
    r"^(\w+\s?)*$",
    r"([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*(@){1}",
    "(.*)*" * 20,
    "a?" * 60 + "a" * 60,
]


def complaints(rule: Any, **options: bool) -> list[str]:
    return [str(problem) for problem in check_rule(rule, ATTRIBUTES, "segments[0].rule", **options)]


@pytest.mark.parametrize(
    "rule",
    [
        {"womens": True},
        {"recency": {"$lt": 6}},
        {"recency": 0, "womens": {"$ne": False}},
        {"recency": {"$exists": True, "$gte": 1.5, "$lte": 6}},
        {"recency": {"$in": [1, 2, 3]}},
        {"zip": None},
        {"zip": {"$eq": None}},
        {"zip": {"$regex": "^(10|20)[0-9]{3}$"}},
        {"zip": {"$not": {"$in": ["10115"]}}},
        {"zip": {"$gte": "10000", "$lt": "20000"}},
        {"app": "1.2.0"},
        {"app": {"$gte": "v1.2", "$lt": "2.0.0-rc.1"}},
        {"tags": ["a", 1, True]},
        {"tags": {"$all": ["a", "b"], "$size": 2}},
        {"tags": {"$size": {"$gte": 2}}},
        {"tags": {"$elemMatch": {"$regex": "^news", "$ne": "newsletter"}}},
        {"tags": {"$nin": ["a"]}},
        {"$or": [{"womens": True}, {"$and": [{"zip": "1"}, {"$not": {"recency": 1}}]}]},
        {"$odd": "yes"},
    ],
)
def test_a_sound_rule_is_accepted(rule: Any) -> None:
    assert complaints(rule) == []
    assert isinstance(compile_rule(rule)({}), bool)


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        (None, "segments[0].rule: None must be an object"),
        ([{"womens": True}], "must be an object of conditions"),
        ({}, "segments[0].rule: {} must not be empty: it would match everybody"),
        ({"$or": []}, "segments[0].rule.$or: [] must be a list of at least one condition"),
        ({"$and": {"womens": True}}, "must be a list of at least one condition"),
        ({"$or": [{}]}, "segments[0].rule.$or[0]: {} must not be empty"),
        ({"$or": [1]}, "segments[0].rule.$or[0]: 1 must be an object"),
        ({"$not": {}}, "segments[0].rule.$not: {} must not be empty"),
        ({"$nor": [{"womens": True}]}, "segments[0].rule.$nor: '$nor' must be a supported operator: $and, $or, $not"),
        ({"$gt": 5}, "'$gt' must stand under an attribute"),
        ({"womans": True}, "segments[0].rule.womans: 'womans' must be a declared attribute; declared: recency, womens"),
        ({"zip.code": "1"}, "'zip.code' must be a declared attribute"),
        ({"womens": 1}, "segments[0].rule.womens: 1 must be true or false, as the attribute is declared"),
        ({"recency": True}, "True must be a number"),
        ({"recency": "6"}, "'6' must be a number, as the attribute is declared"),
        ({"recency": {"$lt": "6"}}, "segments[0].rule.recency.$lt: '6' must be a number"),
        ({"recency": {"$lt": None}}, "None must be a number"),
        ({"recency": {"$in": [1, "2", "3"]}}, "segments[0].rule.recency.$in[1]: '2' must be a number"),
        ({"recency": {"$in": []}}, "[] must be a list of at least one value"),
        ({"recency": {"$nin": 1}}, "1 must be a list of at least one value"),
        ({"recency": {"$exists": 1}}, "1 must be true or false"),
        ({"recency": {"$not": "a"}}, "segments[0].rule.recency.$not: 'a' must be a number"),
        ({"recency": {}}, "{} must not be empty"),
        ({"recency": {"lt": 6}}, "'lt' must be a supported operator"),
        ({"recency": {"$lt": 6, "days": 1}}, "'days' must be a supported operator"),
        ({"recency": {"$regex": "6"}}, "'$regex' must be an operator for a number: $eq, $ne, $in, $nin, $lt"),
        ({"womens": {"$gt": False}}, "'$gt' must be an operator for a boolean"),
        ({"recency": float("nan")}, "nan must be a finite number"),
        ({"recency": {"$lt": float("inf")}}, "inf must be a finite number"),
        ({"recency": 2**53 + 1}, "must be a finite number between -2^53 and 2^53"),
        ({"recency": 10**400}, "must be a finite number"),
        ({"zip": 10115}, "10115 must be a string"),
        ({"zip": ["10115"]}, "['10115'] must be a string"),
        ({"app": 1.2}, "1.2 must be a version such as '1.10.0'"),
        ({"app": {"$gt": "latest"}}, "'latest' must be a version"),
        ({"tags": "a"}, "'a' must be a list of strings, numbers or booleans"),
        ({"tags": [["a"]]}, "must be a list of strings, numbers or booleans"),
        ({"tags": {"$eq": ["a"]}}, "'$eq' must be an operator for a list: $in, $nin, $all, $size, $elemMatch"),
        ({"tags": {"$all": []}}, "must be a list of at least one value"),
        ({"tags": {"$all": [{"$gt": 1}]}}, "must be a string, a number or a boolean"),
        ({"tags": {"$size": -1}}, "-1 must be a whole number from 0"),
        ({"tags": {"$size": True}}, "True must be a whole number"),
        ({"tags": {"$size": {"$gt": "1"}}}, "'1' must be a number"),
        ({"tags": {"$elemMatch": "a"}}, "'a' must be an object of operators"),
        ({"tags": {"$elemMatch": {"name": "a"}}}, "'name' must be a supported operator"),
        ({"zip": {"$regex": ""}}, "'' must be a pattern of 1 to 200 characters"),
        ({"zip": {"$regex": "a" * 201}}, "must be a pattern of 1 to 200 characters"),
        ({"zip": {"$regex": 1}}, "1 must be a pattern"),
        ({"zip": {"$regex": "("}}, "'(' must be a pattern of RE2"),
    ],
)
def test_an_unsound_rule_is_refused_with_its_place_and_the_reason(rule: Any, complaint: str) -> None:
    found = complaints(rule)
    assert len(found) == 1
    assert complaint in found[0]


@pytest.mark.parametrize(
    "operator",
    "$ini $nini $alli $regexi $type $inGroup $notInGroup $veq $vne $vgt $vgte $vlt $vlte $where $near".split(),
)
def test_an_operator_that_is_not_ours_is_named_beside_those_that_are(operator: str) -> None:
    [complaint] = complaints({"zip": {operator: "a"}})
    assert f"'{operator}' must be a supported operator: $and, $or, $not, $eq" in complaint
    assert "$elemMatch" in complaint and "$regex" in complaint


def test_every_fault_is_reported() -> None:
    assert len(complaints({"womens": 1, "nobody": 1, "$or": [{"recency": "1"}, {"zip": {"$type": "string"}}]})) == 4


def nested(levels: int) -> Any:
    rule: Any = {"womens": True}
    for _ in range(levels):
        rule = {"$not": rule}
    return rule


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        (nested(16), "17 levels of nesting are too many; at most 16"),
        (nested(100_000), "17 levels of nesting are too many; at most 16"),
        ({"$or": [{"recency": number} for number in range(100)]}, "101 conditions in one rule are too many"),
        ({"zip": {"$in": [str(number) for number in range(1001)]}}, "1001 values in a list are too many"),
        ({"zip": "a" * 1001}, "must be at most 1000 characters"),
        ({"z" * 1001: 1}, "must be at most 1000 characters"),
    ],
    ids=["deep", "abyss", "many", "long list", "long text", "long name"],
)
def test_a_rule_without_bounds_is_refused(rule: Any, complaint: str) -> None:
    [found] = complaints(rule)
    assert complaint in found


def test_a_rule_at_its_bounds_is_accepted() -> None:
    assert complaints(nested(15)) == []
    assert complaints({"$or": [{"recency": number} for number in range(99)]}) == []
    assert complaints({"zip": {"$in": [str(number) for number in range(1000)]}}) == []
    assert complaints({"zip": "a" * 1000}) == []


@pytest.mark.parametrize("pattern", EVIL_PATTERNS)
def test_a_pattern_that_backtracks_elsewhere_is_compiled_by_re2(pattern: str) -> None:
    expression = compile_pattern(pattern)
    assert isinstance(expression, re2._Regexp)
    # The time is linear by construction; that it ends at all is what a backtracking engine would fail.
    assert isinstance(found_in("a" * 1000 + "!", expression=expression), bool)


@pytest.mark.parametrize(
    "pattern",
    [r"(a)\1", r"(?<n>a)\k<n>", "(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", "(?>a)", "a++", "((a{99}){99}){99}", "a{1001}"],
)
def test_what_re2_refuses_is_refused_by_name(pattern: str) -> None:
    [complaint] = complaints({"zip": {"$regex": pattern}})
    assert complaint.startswith(f"segments[0].rule.zip.$regex: {pattern!r} must be a pattern of RE2")


@pytest.mark.parametrize("pattern", [r"\Aa", r"a\z", r"\pL", r"\Qa\E", "(?i)a", "(?P<n>a)", "[[:alpha:]]", r"\C"])
def test_what_a_browser_reads_otherwise_is_refused(pattern: str) -> None:
    [complaint] = complaints({"zip": {"$regex": pattern}})
    assert "means something else in a browser" in complaint


@pytest.mark.parametrize("pattern", [r"\\Aa", r"[\]]", "(?:a)", "(?<n>a)", r"\[[:a]", r"a\/b"])
def test_what_only_looks_foreign_is_accepted(pattern: str) -> None:
    assert complaints({"zip": {"$regex": pattern}}) == []


def test_a_program_that_would_not_fit_is_refused() -> None:
    with pytest.raises(InvalidPattern):
        compile_pattern("[^a]{999}" * 20)


@pytest.mark.parametrize("operand", [{"$lt": 6}, {"$not": {"$gt": 6}}, {"$exists": False, "$lte": 6}])
def test_local_evaluation_needs_existence_beside_a_comparison(operand: Any) -> None:
    assert complaints({"recency": operand}) == []
    [complaint] = complaints({"recency": operand}, local_evaluation=True)
    assert 'must have "$exists": true beside' in complaint


@pytest.mark.parametrize(
    "rule",
    [
        {"recency": {"$exists": True, "$lt": 6}},
        {"recency": {"$exists": True, "$not": {"$gt": 6}}},
        {"recency": {"$in": [1]}},
        {"tags": {"$size": {"$gt": 1}}},
        {"tags": {"$elemMatch": {"$ne": 1}}},
        {"womens": True},
    ],
)
def test_local_evaluation_accepts_what_sdks_agree_on(rule: Any) -> None:
    assert complaints(rule, local_evaluation=True) == []


def test_local_evaluation_knows_no_lists_of_versions() -> None:
    assert complaints({"app": {"$in": ["1.2.0"]}}) == []
    [complaint] = complaints({"app": {"$in": ["1.2.0"]}}, local_evaluation=True)
    assert "must be written as $or of $eq" in complaint
