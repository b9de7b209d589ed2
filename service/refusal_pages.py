"""Refusals that people read: the same status and sentence as programs get, as a page."""

from collections.abc import Callable
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from flask import Blueprint
from flask import Response
from flask import make_response
from flask import render_template
from werkzeug.exceptions import HTTPException

from experiments.errors import BespokeError
from service.errors import refusal
from service.errors import retry_later
from service.errors import status_of
from service.reference.operations import Answer
from service.reference.operations import Example
from service.reference.operations import HTML
from service.reference.operations import TEXT
from service.reference.operations import View
from service.reference.operations import describes

#: What a page may answer: itself, the way to somewhere else, or a page that says why not.
_STATUSES = (200, 303, 400, 403, 404, 408, 409, 413, 422, 429, 503, 507)
_PAGE = Answer(TEXT, kind=HTML)
_TITLES = {
    400: "This cannot be shown", 403: "This is not open to you", 404: "There is nothing here",
    409: "This cannot be done now", 413: "This is too large",
}


def refusal_page(status: int, reason: str, *, title: str | None = None, advice: str = "") -> Response:
    """The page of a refusal."""
    heading = title or _TITLES.get(status, HTTPStatus(status).phrase)
    page = render_template("refused.html", title=heading, reason=reason, advice=advice)
    return retry_later(make_response(page, status))


def describes_page(
    example: Example, *, shows: Answer = _PAGE, words: Sequence[str] = ("",), **more: Any
) -> Callable[[View], View]:
    """Say that a view answers with pages, whatever it answers; with what it `shows` where that is none.

    `words` are those that its address knows.
    """
    answers = dict.fromkeys(_STATUSES, _PAGE) | {200: shows}
    return describes(answers=answers, examples=dict.fromkeys(words, example), **more)


def init_pages(bp: Blueprint) -> None:
    """Answer whatever is refused below a blueprint with a page."""
    bp.register_error_handler(BespokeError, lambda error: refusal_page(status_of(error), str(error)))
    bp.register_error_handler(HTTPException, _http)


def _http(error: HTTPException) -> Response:
    status, _, detail = refusal(error)
    return refusal_page(status, detail)
