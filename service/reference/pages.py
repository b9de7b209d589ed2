"""The reference: `/openapi.json` for programs, `/docs` for people, both made from the application itself."""

import hashlib
from typing import NamedTuple

import msgspec
from flask import Blueprint
from flask import Flask
from flask import Response
from flask import current_app
from flask import render_template
from flask import request

from service.auth import public
from service.reference.openapi import openapi
from service.reference.operations import Answer
from service.reference.operations import Example
from service.reference.operations import HTML
from service.reference.operations import Parameter
from service.reference.operations import TEXT
from service.reference.operations import describes
from service.reference.view import reference_view
from service.requests.answers import JSON

bp = Blueprint("reference", __name__)

_EXTENSION = "reference"
_ETAG = {"ETag": "changes with the content"}
_IF_NONE_MATCH = {"If-None-Match": Parameter(TEXT, "the ETag of what is known; 304 while it is the newest")}


class Reference(NamedTuple):
    """The two forms of the reference, made once."""

    document: bytes
    page: str


def init_app(app: Flask) -> None:
    """Describe the one view that is not ours."""
    static = app.view_functions["static"]
    static.__doc__ = "A file of the pages."
    describes(
        answers={200: Answer(TEXT, kind="*/*", headers=_ETAG), 304: Answer(None)},
        path={"filename": Parameter(TEXT, "the file's name")},
        headers=_IF_NONE_MATCH,
        example=Example(path={"filename": "bespoke.css"}),
    )(static)


@bp.get("/openapi.json")
@public
@describes(
    answers={200: Answer({"type": "object"}, headers=_ETAG), 304: Answer(None)},
    headers=_IF_NONE_MATCH,
    example=Example(path={}),
)
def openapi_json() -> Response:
    """This description, as OpenAPI 3.1."""
    return _kept(Response(_reference().document, content_type=JSON))


@bp.get("/docs")
@public
@describes(
    answers={200: Answer(TEXT, kind=HTML, headers=_ETAG), 304: Answer(None)},
    headers=_IF_NONE_MATCH,
    example=Example(path={}),
)
def docs() -> Response:
    """This description, for people."""
    return _kept(Response(_reference().page, content_type=HTML))


def _reference() -> Reference:
    found = current_app.extensions.get(_EXTENSION)
    if found is None:
        document = openapi(current_app)
        page = render_template("reference.html", view=reference_view(document), stylesheet="/static/bespoke.css")
        found = current_app.extensions[_EXTENSION] = Reference(msgspec.json.encode(document), page)
    assert isinstance(found, Reference)
    return found


def _kept(response: Response) -> Response:
    """The response, which may be kept, and asked for again by its ETag."""
    response.set_etag(hashlib.sha256(response.get_data()).hexdigest()[:32])
    response.headers["Cache-Control"] = "public, no-cache"
    response.make_conditional(request)
    return response
