from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.messages.bounds import LARGEST_MESSAGE
from experiments.messages.message import LARGEST_WRITTEN
from experiments.messages.message import check_message
from experiments.messages.message import compile_message
from experiments.model import Attribute

ATTRIBUTES = {
    "first_name": Attribute("string"),
    "recency": Attribute("number"),
    "member": Attribute("boolean"),
    "tags": Attribute("list"),
    "home town": Attribute("string"),
    "now": Attribute("string"),
}


def complaints(message: Any) -> list[str]:
    return [str(problem) for problem in check_message(message, ATTRIBUTES, "arms[1].message")]


def written(text: str, channel: str | None = "sms", **values: Any) -> str:
    assert complaints({"body": text}) == []
    body: str = compile_message({"body": text}, channel)(values)["body"]
    return body


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("Hello {{ first_name | default: 'there' }}", {}, "Hello there"),
        ("Hello {{ first_name | default: 'there' }}", {"first_name": "Anna"}, "Hello Anna"),
        ("Hello {{ first_name | default: 'there' }}", {"first_name": ""}, "Hello there"),
        ("{{ recency }}", {"recency": 3.0}, "3"),
        ("{{ recency }}", {"recency": 2.5}, "2.5"),
        ("{{ recency | round }}", {"recency": 2.5}, "3"),
        ("{{ recency | round: 2 }}", {"recency": 3.14159}, "3.14"),
        ("{{ recency | plus: 0.2 | minus: '1' }}", {"recency": 0.1}, "-0.7"),
        ("{{ recency | plus: 10 }}", {}, "10"),
        ("{{ member }}", {"member": True}, "true"),
        ("{{ member | upcase }}", {"member": True}, "TRUE"),
        ("{{ first_name | upcase | append: '!' | prepend: '>' }}", {"first_name": "anna"}, ">ANNA!"),
        ("{{ first_name | strip | downcase | capitalize }}", {"first_name": " aNNa "}, "Anna"),
        ("{{ first_name | truncate: 6 }}", {"first_name": "Annabelle"}, "Ann..."),
        ("{{ first_name | truncate: 4 }}", {"first_name": "Anna"}, "Anna"),
        ("{{ first_name | replace: 'n', 'm' }}", {"first_name": "Anna"}, "Amma"),
        ("{{ tags | join: ', ' }}", {"tags": ["a", 1, 2.0]}, "a, 1, 2"),
        ("{{ tags }}", {"tags": ["a", "b"]}, "ab"),
        ("{{ tags.size }} {{ tags.first }} {{ tags[1] }} {{ tags.last }}", {"tags": ["a", "b"]}, "2 a b b"),
        ("{{ ['home town'] }}", {"home town": "Ulm"}, "Ulm"),
        ("{% if recency < 6 %}soon{% elsif recency %}late{% else %}new{% endif %}", {"recency": 3}, "soon"),
        ("{% if recency < 6 %}soon{% elsif recency %}late{% else %}new{% endif %}", {"recency": 9}, "late"),
        ("{% if recency < 6 %}soon{% elsif recency %}late{% else %}new{% endif %}", {}, "new"),
        ("{% unless member %}Join{% endunless %}", {}, "Join"),
        ("{% case first_name %}{% when 'A', 'B' %}1{% else %}2{% endcase %}", {"first_name": "B"}, "1"),
        ("{% if tags contains 'x' %}yes{% endif %}", {"tags": ["x"]}, "yes"),
        ("{{ now }}", {}, ""),
    ],
)
def test_a_template_is_written_with_the_visitors_attributes(text: str, values: Any, expected: str) -> None:
    assert written(text, **values) == expected


def test_a_message_keeps_its_shape() -> None:
    message = {"title": "{{ first_name }}", "items": [1, True, None, {"text": "for {{ first_name }}"}], "plain": "{x}"}
    render = compile_message(message, "push")
    assert render({"first_name": "Anna"}) == {
        "title": "Anna",
        "items": [1, True, None, {"text": "for Anna"}],
        "plain": "{x}",
    }
    assert message["title"] == "{{ first_name }}"


def test_a_message_without_markup_costs_nothing() -> None:
    render = compile_message({"subject": "Spring is here", "price": "5 } {"}, "email")
    assert render({}) == {"subject": "Spring is here", "price": "5 } {"}
    assert render({}) is render({"first_name": "Anna"})


HOSTILE = "<b>\"A\" & 'B'</b>"
ESCAPED = "&lt;b&gt;&#34;A&#34; &amp; &#39;B&#39;&lt;/b&gt;"


@pytest.mark.parametrize("channel", [None, "web", "email"])
def test_values_are_escaped_where_they_are_shown_as_html(channel: str | None) -> None:
    assert written("<i>{{ first_name }} & co</i>", channel, first_name=HOSTILE) == f"<i>{ESCAPED} & co</i>"


@pytest.mark.parametrize("channel", ["sms", "push", "app", "letter", "phone"])
def test_values_stand_as_they_are_where_they_are_not(channel: str) -> None:
    assert written("<i>{{ first_name }} & co</i>", channel, first_name=HOSTILE) == f"<i>{HOSTILE} & co</i>"


@pytest.mark.parametrize("field", ["subject", "preheader", "from", "text", "Subject"])
def test_some_fields_of_a_mail_are_plain(field: str) -> None:
    render = compile_message({field: "{{ first_name }}", "body": "{{ first_name }}"}, "email")
    assert render({"first_name": HOSTILE}) == {field: HOSTILE, "body": ESCAPED}
    nested = compile_message({field: {"name": ["{{ first_name }}"]}}, "email")
    assert nested({"first_name": HOSTILE}) == {field: {"name": [HOSTILE]}}


def test_a_field_of_that_name_is_html_on_the_web() -> None:
    assert compile_message({"text": "{{ first_name }}"}, "web")({"first_name": HOSTILE}) == {"text": ESCAPED}


@pytest.mark.parametrize(
    "text",
    [
        "{{ first_name | upcase }}",
        "{{ first_name | append: '!' | truncate: 9 }}",
        "{{ 'Dear ' | append: first_name }}",
        "{{ '<i>x</i>' | replace: 'x', first_name }}",
        "{{ first_name | replace: 'A', first_name | capitalize }}",
        "{{ tags | join: first_name }}",
        "{{ tags }}",
        "{{ tags.first | default: '<i>' }}",
        "{{ first_name | escape }}",
        "{% if first_name contains '<b>' %}{{ first_name }}{% endif %}",
    ],
)
def test_no_filter_lets_a_value_be_html(text: str) -> None:
    html = written(text, "web", first_name=HOSTILE, tags=[HOSTILE, HOSTILE])
    assert html
    assert "<b>" not in html.lower()


def test_the_authors_own_text_is_not_escaped() -> None:
    assert written("{{ first_name | default: '<i>friend</i> & co' }}", "web") == "<i>friend</i> & co"


def test_escape_does_not_escape_twice() -> None:
    assert written("{{ first_name | escape }}", "web", first_name="<") == "&lt;"
    assert written("{{ first_name | escape }}", "sms", first_name="<") == "&lt;"


@pytest.mark.parametrize("channel", ["email", "sms", "web"])
def test_a_value_cannot_begin_a_new_line(channel: str) -> None:
    hostile = "A\r\nBcc: x\u2028\u2029\x85\x00\x1b\x07\x7fB\tC"
    expected = "A  Bcc: x   B C"
    assert compile_message({"subject": "{{ first_name }}"}, channel)({"first_name": hostile})["subject"] == expected
    assert compile_message({"subject": "{{ tags }}"}, channel)({"tags": [hostile]})["subject"] == expected


def test_a_value_is_not_a_template() -> None:
    assert written("{{ first_name }}", first_name="{{ recency }}{% if 1 %}", recency=1) == "{{ recency }}{% if 1 %}"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{{7*7}}", "must be a Liquid template: unexpected '*'"),
        ("{{ ''.__class__ }}", "must be a Liquid template"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "must be a Liquid template"),
        ("{{ first_name.__class__ }}", "'first_name' has no such property; there are size, first, last and numbers"),
        ("{{ first_name['__class__'] }}", "'first_name' has no such property"),
        ("{{ tags.first.size }}", "'tags' has no such property"),
        ("{{ tags[recency] }}", "'tags' has no such property"),
        ("{{ [first_name] }}", "an attribute must be named, not computed"),
        ("{{ self }}", "must use declared attributes only, not 'self'; declared: first_name, recency"),
        ("{{ config.items() }}", "must be a Liquid template"),
        ("{{ request.application.__globals__ }}", "must be a Liquid template"),
        ("{{ cycler.__init__.__globals__.os.popen('id').read() }}", "must be a Liquid template"),
        ("{{ today }}", "must use declared attributes only, not 'today'"),
        ("{{ forloop }}", "must use declared attributes only, not 'forloop'"),
        ("{% if nobody == 1 %}x{% endif %}", "must use declared attributes only, not 'nobody'"),
        ("{{ first_name | default: nobody }}", "must use declared attributes only, not 'nobody'"),
        ("{% include 'secrets' %}", "tag 'include' is not supported; supported: if, elsif, else, endif"),
        ("{%- render '/etc/passwd' -%}", "tag 'render' is not supported"),
        ("{% for i in tags %}x{% endfor %}", "tag 'for' is not supported"),
        ("{% tablerow i in tags %}x{% endtablerow %}", "tag 'tablerow' is not supported"),
        ("{% assign x = 1 %}", "tag 'assign' is not supported"),
        ("{% capture x %}y{% endcapture %}", "tag 'capture' is not supported"),
        ("{% increment x %}", "tag 'increment' is not supported"),
        ("{% cycle 'a', 'b' %}", "tag 'cycle' is not supported"),
        ("{% layout 'x' %}", "tag 'layout' is not supported"),
        ("{% raw %}{{ x }}{% endraw %}", "tag 'raw' is not supported"),
        ("{% comment %}x{% endcomment %}", "tag 'comment' is not supported"),
        ("{% liquid assign x = 1 %}", "tag 'liquid' is not supported"),
        ("{% # note %}", "is not supported"),
        ("{% %}", "{% %} is empty"),
        ("{{ }}", "{{ }} is empty"),
        ("{{ first_name | safe }}", "filter 'safe' is not supported; supported: append, capitalize, default"),
        ("{{ first_name | times: 9 }}", "filter 'times' is not supported"),
        ("{{ first_name | date: '%s' }}", "filter 'date' is not supported"),
        ("{{ first_name | map: 'x' }}", "filter 'map' is not supported"),
        ("{{ first_name", "{{ is never closed by }}"),
        ("{% if first_name %}x{% endif", "{% is never closed by %}"),
        ("{% if first_name %}x", "must be a Liquid template"),
        ("{% endif %}", "must be a Liquid template"),
        ("{{ first_name if member else 'x' }}", "must be a Liquid template"),
        ("{{ (1..1000000000) }}", "ranges are not supported"),
        ("{% if (1..1000000000) contains 'x' %}x{% endif %}", "ranges are not supported"),
        ("{{ first_name | upcase: 1 }}", "cannot be written without attributes"),
        ("{{ 'a' | truncate: 'x' }}", "cannot be written without attributes: 'x' is not a number"),
        ("{{ 9999999999999999999 | plus: 1 }}", "is not a number up to 10^15"),
        ("{{ 'a" + "a" * 1000 + "' }}", "is longer than 1000"),
        ("{% else" + " " * 500 + "%}", "has 100 spaces"),
        ("{% if member %}" * 9 + "{% endif %}" * 9, "must be a Liquid template"),
    ],
)
def test_what_is_not_our_part_of_liquid_is_refused_when_saved(text: str, complaint: str) -> None:
    found = complaints({"parts": ["x", {"body": text}]})
    assert len(found) == 1
    assert found[0].startswith("arms[1].message.parts[1].body: ")
    assert complaint in found[0]


@pytest.mark.parametrize("text", ["${7*7}", "#{7*7}", "<%= 7*7 %>", "*{7*7}", "{# x #}", "{ { x } }", "[[${7*7}]]"])
def test_markup_of_other_languages_is_plain_text(text: str) -> None:
    assert written(text, "web") == text


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (None, "arms[1].message: None must be an object"),
        ("Hello", "arms[1].message: 'Hello' must be an object"),
        ({"price": float("nan")}, "arms[1].message.price: nan must be a finite number"),
        ({"body": "é" * (LARGEST_MESSAGE // 2)}, "bytes of message are too many; at most 65536"),
        ({"body": "{{ recency }}" * 201}, "201 outputs and tags in one message are too many; at most 200"),
    ],
)
def test_a_message_without_bounds_is_refused(message: Any, complaint: str) -> None:
    [found] = complaints(message)
    assert complaint in found


@pytest.mark.parametrize("levels", [16, 100_000])
def test_a_message_nested_too_deep_is_refused(levels: int) -> None:
    message: Any = {}
    for _ in range(levels):
        message = {"inner": message}
    [found] = complaints(message)
    assert "17 levels of nesting are too many; at most 16" in found


BOMBS = [
    "{{ 'a'" + " | replace: 'a', 'aaaaaaaaaa'" * 9 + " }}",
    "{{ 'a'" + " | replace: '', 'aaaaaaaaaa'" * 9 + " }}",
    "{{ 'a'" + (" | append: '" + "a" * 100 + "'") * 2 + " | replace: 'a', '" + "a" * 200 + "' }}",
]


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_when_saved(bomb: str) -> None:
    [found] = complaints({"body": bomb})
    assert "a filter's result must be at most 10000 characters" in found


@pytest.mark.parametrize(
    "bomb",
    [
        "small {{ first_name" + " | replace: 'a', first_name" * 9 + " }}",
        "small {{ first_name" + " | append: first_name" * 30 + " }}",
        "small {{ tags | join: first_name }}",
        "small" + "{{ tags }}" * 100,
    ],
)
def test_a_bomb_that_a_visitor_sets_off_is_written_without_the_visitor(bomb: str) -> None:
    text = written(bomb, first_name="a" * 1000, tags=["a" * 1000] * 1000)
    assert text.strip() == "small"


def test_all_templates_of_a_message_share_a_bound() -> None:
    message = {str(number): "x{{ first_name }}" for number in range(200)}
    assert complaints(message) == []
    rendered = compile_message(message, "sms")({"first_name": "a" * 10_000})
    assert rendered["0"] == "x" + "a" * 10_000
    assert rendered["199"] == "x"
    assert sum(map(len, rendered.values())) <= LARGEST_WRITTEN + 200


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("Hi {{ recency | plus: first_name }}", {"first_name": "many", "recency": 1}),
        ("Hi {{ recency | round: first_name }}", {"first_name": "x", "recency": 1}),
        ("Hi {{ first_name | plus: 0 }}", {"first_name": "1e999999999"}),
        ("Hi {{ recency | plus: 0 }}", {"recency": float("inf")}),
        ("Hi {{ recency | plus: 0 }}", {"recency": [1]}),
        ("Hi {% if first_name < 3 %}x{% endif %}", {"first_name": "a"}),
        ("Hi {{ first_name }}", {"first_name": "\ud800"}),
    ],
)
def test_a_template_that_fails_is_written_without_attributes(text: str, values: Any) -> None:
    assert written(text, **values) == written(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(ATTRIBUTES)), JSON))
def test_writing_never_raises(values: dict[str, Any]) -> None:
    text = (
        "{{ first_name | upcase | append: tags | replace: recency, member }}{{ tags | join: recency }}"
        "{{ recency | plus: first_name | round: recency }}{% if recency < first_name %}{{ now | truncate: recency }}"
        "{% elsif tags contains member %}{{ tags[0] }}{{ tags.size }}{% endif %}{{ member | default: tags | escape }}"
    )
    for channel in ("web", "sms"):
        assert isinstance(compile_message({"body": text}, channel)(values)["body"], str)


@given(st.text(max_size=30), st.text(alphabet="{}%|'\".-[]() ain*7:#", max_size=40))
def test_checking_never_raises_and_what_it_accepts_can_be_written(prefix: str, markup: str) -> None:
    message = {"body": f"{prefix}{{{{{markup}}}}}{{%{markup}%}}", "other": markup}
    if not complaints(message):
        assert isinstance(compile_message(message, None)({"first_name": "a"}), dict)
