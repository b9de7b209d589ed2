"""How segments fit recent traffic, held against asking every rule of every visitor."""

from typing import Any

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from experiments.fits import fits_of
from experiments.fits import typical_visitors
from experiments.model import Attribute
from experiments.model import EVERYONE_ELSE
from experiments.recent import Context
from experiments.recent import RecentTraffic
from experiments.rules.conditions import compile_rule

_TYPES = {"city": "string", "recency": "number", "womens": "boolean", "app": "version", "tags": "list"}
_ATTRIBUTES = {name: Attribute(type_) for name, type_ in _TYPES.items()}  # type: ignore[arg-type]
_CITIES = ("Bonn", "Chur", "")
_VALUES = st.one_of(
    st.none(), st.booleans(), st.sampled_from(_CITIES), st.sampled_from((0, 1, 1.0, 7, -1)),
    st.lists(st.sampled_from(("news", 1, True)), max_size=2),
)
_SENT = st.lists(
    st.dictionaries(st.sampled_from((*_TYPES, "undeclared")), _VALUES, max_size=5), min_size=1, max_size=30
)
_RULES = st.recursive(
    st.sampled_from((
        {"city": "Bonn"}, {"city": None}, {"recency": {"$gte": 1}}, {"womens": True}, {"womens": {"$ne": 1}},
        {"tags": {"$in": ["news"]}}, {"app": {"$gte": "1.0"}}, {"tags": {"$size": 1}, "city": "Chur"},
    )),
    lambda inner: st.one_of(
        st.builds(lambda rule: {"$not": rule}, inner),
        st.builds(lambda rules: {"$or": rules}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda rules: {"$and": rules}, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=5,
)


def _fitting(value: Any, type_: str) -> bool:
    if type_ == "boolean":
        return isinstance(value, bool)
    if type_ == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, list if type_ == "list" else str)


@given(_SENT, st.lists(st.one_of(_RULES, st.none()), max_size=6))
@settings(deadline=None)
def test_fits_are_what_asking_every_rule_of_every_visitor_gives(
    sent: list[dict[str, Any]], rules: list[dict[str, Any] | None]
) -> None:
    found = fits_of(rules, _ATTRIBUTES, [Context(at_ms, one) for at_ms, one in enumerate(sent)])
    people = [{name: value for name, value in one.items() if name in _TYPES and _fitting(value, _TYPES[name])}
              for one in sent]
    held = [[rule is not None and compile_rule(rule, _TYPES)(person) for rule in rules] for person in people]
    assert found is not None and (found.contexts, found.since_ms) == (len(sent), 0)
    assert found.several == sum(sum(one) > 1 for one in held)
    assert found.none == sum(not any(one) for one in held)
    firsts = [next((place for place, holds in enumerate(one) if holds), EVERYONE_ELSE) for one in held]
    for place, (rule, fit) in enumerate(zip(rules, found.segments, strict=True)):
        if fit is None:
            assert rule is None
            continue
        assert fit.fits == sum(one[place] for one in held)
        assert fit.left == firsts.count(place)
        lost = [first for first, one in zip(firsts, held, strict=True) if one[place] and first != place]
        assert (fit.taker is None) == (not lost)
        assert not lost or lost.count(fit.taker) == max(map(lost.count, lost))


def test_without_visitors_nothing_is_said() -> None:
    assert fits_of([{"city": "Bonn"}], _ATTRIBUTES, []) is None


def test_typical_visitors_are_like_many_and_rare_values_are_left_out() -> None:
    contexts = [Context(0, {"city": "Bonn", "recency": number, "womens": True}) for number in range(12)]
    contexts += [Context(0, {"city": "Chur"}) for _ in range(9)]
    found = typical_visitors(contexts, _ATTRIBUTES, min_cell=10, most=5)
    assert [tuple(one) for one in found] == [({"city": "Bonn", "womens": True}, 12)]
    assert len(typical_visitors(contexts, _ATTRIBUTES, min_cell=9, most=5)) == 2
    assert len(typical_visitors(contexts, _ATTRIBUTES, min_cell=0, most=5)) == 5


def test_the_newest_contexts_are_kept_small_and_without_whose_they_are() -> None:
    recent = RecentTraffic(2)
    sent = {
        "targetingKey": "ann", "consent": "personalise", "token": "t", "gpc": False, "email": "ann", "city": "Bonn",
        "nested": {"a": 1}, "deep": [[1]], "long": "x" * 101, "list": ["a", 1, True], "many": [1] * 21, "none": None,
        "huge": 10**400, "recency": 3,
    }
    for at_ms in range(5):
        recent.note(sent, "ann", now_ms=at_ms * 1000)
    assert recent.contexts() == [Context(at_ms, {"city": "Bonn", "list": ["a", 1, True], "recency": 3})
                                 for at_ms in (3000, 4000)]
    recent.note({f"a{number}": 1 for number in range(1000)}, "ann", now_ms=0)
    assert len(recent.contexts()[-1].attributes) == 64


def test_nothing_is_remembered_where_it_is_turned_off() -> None:
    recent = RecentTraffic(0)
    recent.note({"city": "Bonn"}, "ann", now_ms=0)
    assert recent.contexts() == []
