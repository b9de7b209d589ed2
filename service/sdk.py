"""What pages load: the script for browsers, also at an address whose content never changes, and its types."""

import gzip
import hashlib
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import NamedTuple
from typing import TypedDict

from flask import Blueprint
from flask import Response
from flask import abort
from flask import request

from service.auth import public
from service.reference.operations import Answer
from service.reference.operations import Example
from service.reference.operations import Parameter
from service.reference.operations import TEXT
from service.reference.operations import describes
from service.requests.answers import json_answer

bp = Blueprint("sdk", __name__)

_FOLDER = Path(__file__).parent / "browser"
_JAVASCRIPT = "text/javascript; charset=utf-8"
_PLAIN = "text/plain; charset=utf-8"
_SHORT = "public, max-age=300"
_FOR_EVER = "public, max-age=31536000, immutable"


class Script(NamedTuple):
    """The script as it is served, and packed by gzip; `integrity` is what pages may pin it by."""

    text: bytes
    packed: bytes
    name: str
    integrity: str


@cache
def script() -> Script:
    """The script, without what only its readers need."""
    text = _compact((_FOLDER / "sdk.js").read_text()).encode()
    integrity = "sha384-" + b64encode(hashlib.sha384(text).digest()).decode()
    return Script(text, gzip.compress(text, mtime=0), hashlib.sha256(text).hexdigest()[:16], integrity)


def _compact(source: str) -> str:
    """A script without comments and indentation; it holds no text of several lines that this would change."""
    lines = (line.strip() for line in source.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


class Addresses(TypedDict):
    """Where the pinned script and its types are, and the digest that pins it."""

    src: str
    integrity: str
    types: str


_ETAG = {"ETag": "changes with the content"}
_KNOWN = {"If-None-Match": Parameter(TEXT, "the ETag of what is known; 304 while it is the newest")}
_SCRIPT = {200: Answer(TEXT, kind=_JAVASCRIPT, headers=_ETAG), 304: Answer(None)}


@bp.get("/sdk.js")
@public
@describes(answers=_SCRIPT, headers=_KNOWN, example=Example(path={}))
def newest() -> Response:
    """The script of this version of the service."""
    return _script_answer(caching=_SHORT)


@bp.get("/sdk/<name>.js")
@public
@describes(
    answers=_SCRIPT,
    path={"name": Parameter(TEXT, "the beginning of the script's digest")},
    headers=_KNOWN,
    example=Example(path={"name": script().name}),
)
def pinned(name: str) -> Response:
    """The script whose content gives it this name; there is none but this version's."""
    if name != script().name:
        abort(404)
    return _script_answer(caching=_FOR_EVER)


@bp.get("/sdk.json")
@public
@describes(answers={200: Answer(Addresses, headers=_ETAG), 304: Answer(None)}, headers=_KNOWN, example=Example(path={}))
def addresses() -> Response:
    """Where the pinned script and its types are, and the digest that a page may ask its browser to check."""
    found = script()
    body: Addresses = {"src": f"/sdk/{found.name}.js", "integrity": found.integrity, "types": "/sdk.d.ts"}
    return _open(json_answer(body), caching=_SHORT)


@bp.get("/sdk.d.ts")
@public
@describes(
    answers={200: Answer(TEXT, kind=_PLAIN, headers=_ETAG), 304: Answer(None)},
    headers=_KNOWN,
    example=Example(path={}),
)
def types() -> Response:
    """The script's types, for TypeScript."""
    text = (_FOLDER / "sdk.d.ts").read_bytes()
    return _open(Response(text, content_type=_PLAIN), caching=_SHORT)


def _script_answer(*, caching: str) -> Response:
    found = script()
    packed = request.accept_encodings.quality("gzip") > 0
    response = Response(found.packed if packed else found.text, content_type=_JAVASCRIPT)
    response.vary.add("Accept-Encoding")
    if packed:
        response.content_encoding = "gzip"
    return _open(response, caching=caching)


def _open(response: Response, *, caching: str) -> Response:
    """For every page of every origin, and only once while it stays the same."""
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cache-Control"] = caching
    response.add_etag()
    response.make_conditional(request)
    return response
