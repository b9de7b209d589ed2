"""Refusals that people read: the same status and sentence as programs get, as a page."""

from collections.abc import Callable
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from flask import Blueprint
from flask import Response
from flask import make_response
from flask import render_template
from werkzeug.exceptions import HTTPException

from experiments.errors import BespokeError
from service.errors import refusal
from service.errors import retry_later
from service.errors import status_of
from service.operations import HTML
from service.operations import TEXT
from service.operations import Answer
from service.operations import Example
from service.operations import Parameter
from service.operations import View
from service.operations import describes

#: What a page may answer: itself, the way to somewhere else, or a page that says why not.
_STATUSES = (200, 303, 400, 403, 404, 409, 413, 422, 429, 503, 507)
_TITLES = {403: "This is not open to you", 404: "There is nothing here", 400: "This cannot be shown"}


def refusal_page(status: int, reason: str, *, title: str | None = None, advice: str = "") -> Response:
    """The page of a refusal."""
    heading = title or _TITLES.get(status, HTTPStatus(status).phrase)
    page = render_template("refused.html", title=heading, reason=reason, advice=advice)
    return retry_later(make_response(page, status))


def describes_page(
    example: Example, *, query: Mapping[str, Parameter] = MappingProxyType({})
) -> Callable[[View], View]:
    """Say that a view answers with pages, whatever it answers."""
    page = Answer(TEXT, kind=HTML)
    return describes(answers=dict.fromkeys(_STATUSES, page), query=query, example=example)


def init_pages(bp: Blueprint) -> None:
    """Answer whatever is refused below a blueprint with a page."""
    bp.register_error_handler(BespokeError, lambda error: refusal_page(status_of(error), str(error)))
    bp.register_error_handler(HTTPException, _http)


def _http(error: HTTPException) -> Response:
    status, _, detail = refusal(error)
    return refusal_page(status, detail)
