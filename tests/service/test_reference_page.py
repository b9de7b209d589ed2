"""`/docs`: the reference for people, made from the same document; it needs no script and no other server."""

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser

from service.reference.openapi import routes
from service.reference.view import kind
from tests.service.processes import Installed
from tests.service.processes import ServerProcess


@pytest.fixture(name="page")
def _page(client: FlaskClient) -> str:
    return client.get("/docs").get_data(as_text=True)


def test_every_endpoint_stands_on_the_page_with_its_scope_and_command(app: Flask, page: str) -> None:
    articles = re.findall(r'<article class="endpoint" id="(\w+)">(.*?)</article>', page, re.DOTALL)
    assert len(articles) == len(list(routes(app)))
    assert all("<pre" in text and "curl" in text and 'class="state"' in text for _, text in articles)
    assert {name for name, _ in articles} == set(re.findall(r'<li><a href="#(\w+)">', page))


def test_bodies_codes_and_schemas_can_be_read(page: str) -> None:
    for text in ("metrics[].window", "SegmentVerdict", "idempotency_key_reused", "experiment_exists"):
        assert text in page
    for name in set(re.findall(r'href="#(schema-\w+)"', page)):
        assert f'id="{name}"' in page


def test_the_page_holds_no_script_no_style_and_no_address_elsewhere(client: FlaskClient, page: str) -> None:
    assert not re.search(r"<script|<style|style=| on\w+=", page)
    assert not re.search(r'(?:src|href)="(?!/|#|data:)', page)
    assert "unsafe" not in client.get("/docs").headers["Content-Security-Policy"]


@pytest.mark.parametrize(("schema", "words"), [
    ({"type": "integer", "minimum": 1, "maximum": 10**10}, "integer from 1 to 10,000,000,000"),
    ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, "number above 0 to 1"),
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer or null"),
    ({"type": "array", "items": {"$ref": "#/components/schemas/Item"}}, "array of Item"),
    ({"type": "object", "additionalProperties": {"type": "number"}}, "object of number"),
    ({"enum": ["a", "b"]}, "a, b"),
    ({"const": True}, "true"),
    ({}, "any"),
])
def test_what_a_schema_takes_is_said_in_a_few_words(schema: dict[str, object], words: str) -> None:
    assert kind(schema) == words


@pytest.fixture(scope="module", name="address")
def _address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    installed = Installed(tmp_path_factory.mktemp("docs"))
    server = ServerProcess(installed)
    yield f"http://127.0.0.1:{server.port}/docs"
    server.end()


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_browser_shows_it_without_script_on_any_width(
    chromium: Browser, address: str, width: int, scheme: str
) -> None:
    context = chromium.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,  # type: ignore[arg-type]
        java_script_enabled=False,
    )
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(address)
    page.get_by_role("link", name="POST /v1/experiments", exact=True).click()
    assert page.locator("#create_experiment").bounding_box()["y"] < 900  # type: ignore[index]
    page.get_by_role("link", name="ExperimentDocument", exact=True).first.click()
    assert page.get_by_text("metrics[].window").first.is_visible()
    boxes = [one.bounding_box() for one in page.locator("main > *").all()]
    assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)
    assert not said
    assert all(url.startswith((address.removesuffix("/docs"), "data:")) for url in asked)
    context.close()
