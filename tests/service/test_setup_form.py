"""The set-up form and the document: there and back without loss, whatever the document holds."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from experiments.amendments import is_same
from experiments.document import parse_document
from experiments.errors import Problem
from experiments.policy_kinds import BUILT_IN
from service.setup import wording as setup_wording
from service.setup.errors import errors_of
from service.setup.form import FORM
from service.setup.form import document_of
from service.setup.form import sheet_of
from service.setup.form import types_of
from service.setup.keys import suggested_key
from service.setup.keys import with_keys
from service.setup.names import UnknownButton
from service.setup.names import folded
from service.setup.names import pressed
from service.setup.names import sheet_of_texts
from service.setup.names import texts_of
from service.setup.names import unfolded
from service.setup.preview import previews
from service.setup.rules import sentence
from service.setup.state import Setup
from service.setup.state import faults
from tests.experiments.documents import at_home
from tests.experiments.documents import spring_mailing
from tests.experiments.documents import tiny

_NAMES = st.sampled_from([
    "key", "name", "hypothesis", "objective", "policy", "control_share", "attributes", "audience", "segments", "arms",
    "metrics", "currency", "local_evaluation", "kind", "role", "rule", "message", "womens", "recency", "tags", "$or",
    "$and", "$gte", "$in", "$exists", "cost_per_exposure", "fixed_cost", "window", "more", "shares", "json",
])
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_NUMBERS = st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False)
_SCALARS = st.none() | st.booleans() | _NUMBERS | _TEXTS | st.sampled_from([
    0.1, 1.0, 0.29, 1e-7, 1e300, -0.0, "thompson", "mass", "conversion", "number", "\r\n", " a", "true", "[", "{",
    "1e2",
])
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES | _TEXTS, inner, max_size=4),
    max_leaves=25,
)


def through_a_browser(sheet: Any) -> Any:
    """The sheet as a browser sends it: field by field, lines ended as in mail."""
    return FORM.trimmed(sheet_of_texts((name, text.replace("\n", "\r\n")) for name, text in texts_of(sheet)))


@pytest.mark.parametrize("document", [spring_mailing(), at_home(), tiny()], ids=lambda document: str(document["key"]))
def test_documents_go_through_the_form_unchanged(document: dict[str, Any]) -> None:
    found, problems = document_of(through_a_browser(sheet_of(document)))
    assert (found, problems) == (document, [])
    assert parse_document(found) == parse_document(document)


def _words(path: str) -> tuple[str, ...]:
    """The words of which a field is one, by the names that lead to it."""
    kind: Any = FORM
    for name in path.split("."):
        kind = getattr(kind, "part", kind).kinds[name]
    return getattr(kind, "kind", kind).words


@pytest.mark.parametrize(("path", "options"), [
    ("objective", setup_wording.OBJECTIVES), ("attributes", setup_wording.TYPES),
    ("segments.kind", setup_wording.SEGMENT_KINDS), ("arms.role", setup_wording.ROLES),
    ("metrics.kind", setup_wording.METRIC_KINDS), ("metrics.role", setup_wording.METRIC_ROLES),
    ("policy.maturity", setup_wording.MATURITIES),
])
def test_the_form_offers_every_word_that_it_can_keep(path: str, options: setup_wording.Options) -> None:
    assert sorted(word for word, _ in options) == sorted(_words(path))


def test_the_form_offers_every_policy_that_is_built_in() -> None:
    assert sorted(word for word, _ in setup_wording.policy().options) == sorted(BUILT_IN)


def test_of_the_example_nothing_has_to_be_json() -> None:
    texts = dict(texts_of(sheet_of(spring_mailing())))
    assert [name for name, text in texts.items() if text and name.rpartition(".")[2] in ("json", "more")] == []


@given(st.dictionaries(_NAMES, _VALUES, max_size=6))
def test_any_json_goes_through_the_form_unchanged(document: dict[str, Any]) -> None:
    found, problems = document_of(through_a_browser(sheet_of(document)))
    assert is_same(found, document) and problems == []


@given(st.data())
def test_documents_with_anything_in_them_go_through_the_form_unchanged(data: st.DataObject) -> None:
    document = data.draw(st.sampled_from([spring_mailing(), at_home()]))
    section = data.draw(st.sampled_from(["segments", "arms", "metrics"]))
    row = data.draw(st.sampled_from(range(len(document[section]))))
    name = data.draw(st.sampled_from([*document[section][row], "rule", "message", "segments", "limit"]))
    document[section][row][name] = data.draw(_VALUES)
    document["attributes"][data.draw(_TEXTS)] = data.draw(_VALUES)
    found, problems = document_of(through_a_browser(sheet_of(document)))
    assert is_same(found, document) and problems == []


@pytest.mark.parametrize(("rule", "words"), [
    ({"womens": True}, "womens is true."),
    ({"womens": True, "recency": {"$lte": 6}}, "womens is true and recency is at most 6."),
    ({"recency": {"$gte": 2, "$lt": 6}}, "recency is at least 2 and recency is less than 6."),
    ({"$or": [{"womens": True}, {"zip_code": {"$in": ["Bonn", "Köln"]}}]},
     "womens is true or zip_code is one of Bonn, Köln."),
    ({"$and": [{"recency": 1}, {"recency": 2}]}, "recency is 1 and recency is 2."),
    ({"zip_code": {"$exists": False}}, "zip_code is not known."),
    ({"$not": {"womens": True}}, ""),
    ({"zip_code": "1, 2", "recency": "6"}, ""),
    ({"zip_code": {"$in": ["a, b"]}}, ""),
    ({"zip_code": {"$in": [""]}}, ""),
    ({"zip_code": ""}, ""),
    ({"$or": [{"womens": True, "recency": 1}]}, ""),
])
def test_a_rule_is_said_in_plain_words_or_stays_json(rule: dict[str, Any], words: str) -> None:
    document = spring_mailing()
    document["segments"][0]["rule"] = rule
    sheet = sheet_of(document)
    assert sentence(sheet["segments"][0]["rule"]) == words
    assert document_of(through_a_browser(sheet)).document == document
    assert bool(sheet["segments"][0]["rule"]["json"]) is not bool(words)


@pytest.mark.parametrize(("change", "field", "step"), [
    ({"arms[1].cost_per_exposure": "much"}, "arms[1].cost_per_exposure", "messages"),
    ({"arms[1].cost_per_exposure": "[{"}, "arms[1].cost_per_exposure", "messages"),
    ({"arms[1].message[1].value": "{{ nobody }}"}, "arms[1].message[1].value", "messages"),
    ({"arms[2].segments": "nobody"}, "arms[2].segments", "messages"),
    ({"segments[0].rule.rows[0].value": "perhaps"}, "segments[0].rule.rows[0].value", "segments"),
    ({"segments[0].rule.rows[0].attribute": "shoes"}, "segments[0].rule.rows[0].value", "segments"),
    ({"segments[0].rule.rows[0].value": ""}, "segments[0].rule.rows[0].value", "segments"),
    ({"segments[0].rule.rows[0].asks": "one_of", "segments[0].rule.rows[0].value": ", "},
     "segments[0].rule.rows[0].value", "segments"),
    ({"segments[0].rule.json": "{"}, "segments[0].rule.json", "segments"),
    ({"segments[0].rule.rows[0].attribute": "", "segments[0].rule.rows[0].value": ""}, "segments[0].rule", "segments"),
    ({"attributes[0].name": "consent"}, "attributes[0].value", "segments"),
    ({"attributes[1].name": "recency"}, "attributes[1].name", "segments"),
    ({"metrics[4].limit": "2"}, "metrics[4].limit", "metrics"),
    ({"policy.min_share": "80"}, "policy.min_share", "policy"),
    ({"policy.shares": '{"one-letter": 1}'}, "policy.shares", "policy"),
    ({"control_share": "95 %"}, "control_share", "policy"),
    ({"more": '{"colour": 1}'}, "more", "basics"),
    ({"more": "["}, "more", "basics"),
    ({"key": "Spring"}, "key", "basics"),
])
def test_every_error_stands_beside_its_field(change: dict[str, str], field: str, step: str) -> None:
    texts = {**dict(texts_of(sheet_of(spring_mailing()))), **change}
    sheet = FORM.trimmed(sheet_of_texts(texts.items()))
    found = errors_of(faults(Setup(None, sheet, {}, "", True)), sheet)
    assert (field, step) in {(error.field, error.step) for error in found}


def test_a_share_is_typed_as_a_percentage_and_its_error_says_both() -> None:
    sheet = sheet_of(spring_mailing(control_share=0.125))
    assert sheet["control_share"] == "12.5"
    (error,) = errors_of([Problem("control_share", 0.95, "must be from 0 to 0.9")], sheet)
    assert error.text == "0.95 must be from 0 to 0.9 (as a part of 1: 10 % is 0.1)"
    assert error.label == "Control share"


def test_what_concerns_no_field_stands_somewhere() -> None:
    (error,) = errors_of([Problem("document", 1, "is odd")], FORM.trimmed({}))
    assert error.step == "check"
    (error,) = errors_of([Problem("colour", "red", "is not a field here")], FORM.trimmed({}))
    assert error.field == "more"


def test_a_page_that_a_browser_sends_back_untouched_is_the_same_form() -> None:
    sheet = sheet_of(spring_mailing())
    assert through_a_browser(sheet) == FORM.trimmed(sheet)


def test_rows_come_go_and_change_places() -> None:
    sheet, at = pressed(sheet_of(spring_mailing()), "add segments")
    assert (len(sheet["segments"]), at) == (2, "segments[1]")
    sheet, at = pressed(FORM.trimmed(sheet), "up segments[1]")
    assert (sheet["segments"][1]["key"], at) == ("womens-shoppers", "segments[0]")
    sheet, at = pressed(sheet, "add segments[0].rule.rows")
    assert at == "segments[0].rule.rows[1]"
    sheet, at = pressed(sheet, "remove segments[0]")
    assert ([segment["key"] for segment in sheet["segments"]], at) == (["womens-shoppers"], "segments[0]")
    assert pressed(sheet, "remove segments[0]")[1] == "segments"


@pytest.mark.parametrize("button", [
    "", "add", "add name", "add nowhere", "remove segments", "remove segments[7]", "remove name[0]", "burn segments",
    "open arms", "open arms[99]", "up arms[0].key", "add arms[0]", "add __class__", "remove arms[0].message[99]",
    "add segments[0]..rule",
])
def test_a_button_that_is_none_is_refused(button: str) -> None:
    sheet = sheet_of(spring_mailing())
    with pytest.raises(UnknownButton, match="is no button"):
        pressed(sheet, button)
    assert sheet == sheet_of(spring_mailing())


@given(st.lists(st.tuples(st.sampled_from([
    "name", "name.x", "name[0]", "arms", "arms[3].key", "arms[0]", "arms[0].message[2].name", "segments[0].rule",
    "segments[0].rule.rows[1].asks", "attributes[1].value", "", "a.b.c.d.e.f.g.h", "arms[99999].key", "..",
    "policy[0].kind",
]), _TEXTS)))
def test_whatever_is_sent_becomes_a_form(texts: list[tuple[str, str]]) -> None:
    sheet = FORM.trimmed(sheet_of_texts(texts))
    assert json.dumps(FORM.trimmed(sheet)) == json.dumps(sheet)
    document_of(sheet)
    errors_of([], sheet)


def test_keys_are_suggested_from_names() -> None:
    assert suggested_key("Bought women's clothing") == "bought-womens-clothing"
    assert suggested_key("Frühling: Ärmel & Röcke!") == "fruhling-armel-rocke"
    assert suggested_key("春") == ""
    assert suggested_key("x" * 100) == "x" * 64
    assert suggested_key("News", ["news", "news-2"]) == "news-3"
    segments = [{"name": "A"}, {"name": "A"}, {"name": "A", "key": "k"}]
    sheet = with_keys(FORM.trimmed({"name": "Spring", "segments": segments}))
    assert (sheet["key"], [row["key"] for row in sheet["segments"]]) == ("spring", ["a", "a-2", "k"])


@given(_TEXTS)
def test_a_suggested_key_is_a_key(name: str) -> None:
    key = suggested_key(name)
    assert not key or parse_document(tiny(key=key)).key == key


def test_the_preview_is_what_the_visitor_would_get_as_text() -> None:
    document = spring_mailing()
    body = "Hello {{ first_name | default: 'there' }}{% if recency > 6 %}, long ago{% endif %}"
    document["arms"][1]["message"]["body"] = body
    found = previews(sheet_of(document), {"first_name": "<b>Ann", "recency": "7"}, known={"recency": 1})
    shown = {one.arm: dict(one.fields) for one in found}
    assert shown["one-letter"]["body"] == "Hello &lt;b&gt;Ann, long ago"
    assert previews(sheet_of(document), {}, known={})[1].fields[1] == ("body", "Hello there")
    document["arms"][1]["message"]["body"] = "{{ first_name "
    assert "never closed" in previews(sheet_of(document), {}, known={})[1].reason


def test_types_are_those_of_the_form() -> None:
    assert types_of(sheet_of(at_home()))["tags"] == "list"


@settings(deadline=None)
@given(st.recursive(_TEXTS, lambda inner: st.lists(inner, max_size=3)))
def test_a_row_is_unfolded_as_it_was_folded(text: object) -> None:
    for name, part in (("segments", "name"), ("arms", "segments"), ("metrics", "event")):
        sheet = FORM.trimmed({name: [{part: text, "rule": {"rows": [{"attribute": text}, {}]}, "message": [{}]}]})
        row = sheet_of_texts([(f"{name}[0]", unfolded(folded(sheet[name][0])))])
        assert FORM.trimmed(row) == sheet
