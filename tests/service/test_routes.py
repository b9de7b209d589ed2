"""Routes: they lead where rules lead, and are compiled when an address is asked for."""

import re
from types import CodeType
from typing import Any

import pytest
from flask import Flask
from flask import url_for
from werkzeug.routing import Map
from werkzeug.routing import Rule

from service import create_app
from service.config import Config
from service.current import EXTENSION
from service.requests.routes import Route


def values_for(rule: Rule) -> dict[str, Any]:
    """Something for each part of a rule that is open, one of its words where it is not, and something for none."""
    words = {name: word for word, name in re.findall(r"<any\((\w+)[^)]*\):(\w+)>", rule.rule)}
    return {**dict.fromkeys(rule.arguments, "b c/é"), **words, "rule": "é&", "append_unknown": 1}


def test_every_address_is_the_one_that_a_rule_writes(app: Flask) -> None:
    routes = [rule for rule in app.url_map.iter_rules() if isinstance(rule, Route)]
    assert len(routes) > 60
    plain = Map(
        [Rule(each.rule, endpoint=each.endpoint, methods=each.methods, defaults=each.defaults) for each in routes],
        converters=app.url_map.converters,
    )
    for route, rule in zip(routes, plain.iter_rules(), strict=True):
        for append_unknown in (False, True):
            values = values_for(route)
            assert route.build(values, append_unknown) == rule.build(values, append_unknown), route.rule


def test_none_is_compiled_before_it_is_asked_for(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    make = Rule._get_func_code

    def counted(code: CodeType, name: str) -> Any:
        compiled.append(name)
        return make(code, name)

    monkeypatch.setattr(Rule, "_get_func_code", staticmethod(counted))
    app = create_app(config)
    try:
        # Flask's own, for files, is there before the others.
        assert {name for name in compiled if "/static/" not in name} == set()
        with app.test_request_context():
            assert url_for("pages.report_page", key="spring-mailing") == "/experiments/spring-mailing"
            assert url_for("pages.report_page", key="autumn") == "/experiments/autumn"
        assert [name for name in compiled if "/static/" not in name] == ["<builder:'/experiments/<key>'>"]
    finally:
        app.extensions[EXTENSION].close()
