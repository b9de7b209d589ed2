"""Bodies of requests: strict JSON, of bounded size and depth, whatever a client sends."""

import json
import re
import zlib
from collections import Counter
from itertools import accumulate
from math import isinf
from typing import Any

from flask import g
from flask import request

from experiments.errors import shown
from service.current import current_installation
from service.errors import Refused
from service.requests import quick_json

DEEPEST = 32
#: What a body may be refused for, by status.
REFUSALS = {
    400: (
        "bad_request", "duplicate_key", "empty_body", "invalid_gzip", "invalid_json", "invalid_number", "invalid_text",
        "not_an_object", "not_finite", "too_deep",
    ),
    408: ("body_late",),
    413: ("body_too_large",),
    415: ("not_utf8", "unsupported_encoding", "unsupported_media_type"),
}

_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'"[]{}'))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
#: Whole surrogate pairs and escaped backslashes are passed over, so that what is captured is half a pair.
_HALF_PAIR = re.compile(r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F])")
_OTHER_ENCODINGS = (b"\xff\xfe", b"\xfe\xff", b"\x00")
_GZIP = zlib.MAX_WBITS | 16


class _NotFinite(ValueError):
    """A number that is none, or too large to be one."""


class _DuplicateKey(ValueError):
    """A name that stands twice in one object."""


def read_object(*, limit: int | None = None) -> dict[str, Any]:
    """The JSON object that the request carries, of at most `limit` bytes; by default what the settings allow.

    :raises Refused: 413 if it is too large, 415 if it is of another kind or encoding, 400 if it is not one.
    """
    value = read_json(limit=limit)
    if not isinstance(value, dict):
        raise Refused(400, "not_an_object", f"the body must be a JSON object, not {_kind(value)}")
    return value


def read_object_if_any() -> dict[str, Any]:
    """The same; an empty one where the request carries nothing.

    :raises Refused: as `read_object`.
    """
    return read_object() if _data(None) else {}


def read_json(*, limit: int | None = None) -> Any:
    """The JSON value that the request carries; whoever asks again gets the same one.

    :raises Refused: as `read_object`.
    """
    if "body" not in g:
        g.body = _read(limit)
    return g.body


def _read(limit: int | None) -> Any:
    kind = request.mimetype
    if kind not in ("", "application/json", "text/plain") and not kind.endswith("+json"):
        raise Refused(415, "unsupported_media_type", f"Content-Type: {kind} must be application/json or text/plain")
    return parse(_data(limit))


def read_lines(*, limit: int) -> list[bytes]:
    """The lines of a body that carries a JSON value on each, those that are blank left out.

    :raises Refused: 413 if it is too large, 415 if it is of another encoding.
    """
    return list(filter(bytes.strip, _data(limit).split(b"\n")))


def _data(limit: int | None) -> bytes:
    largest = current_installation().config.body_limit_bytes if limit is None else limit
    _check_charset()
    # One more than the limit: a body without a length is cut off there silently.
    request.max_content_length = largest + 1
    data = request.get_data()
    if len(data) > largest:
        raise Refused(413, "body_too_large", f"the body is larger than {largest} bytes")
    return _unpacked(data, limit=largest)


def _check_charset() -> None:
    charset = request.mimetype_params.get("charset", "utf-8")
    if charset.lower() not in ("utf-8", "utf8", "us-ascii"):
        raise Refused(415, "not_utf8", f"charset: {charset} must be utf-8")


def _unpacked(data: bytes, *, limit: int) -> bytes:
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return data
    if encoding not in ("gzip", "x-gzip"):
        raise Refused(415, "unsupported_encoding", f"Content-Encoding: {encoding[:50]} must be gzip or absent")
    return gunzip(data, limit=limit)


def gunzip(data: bytes, *, limit: int) -> bytes:
    """What was packed, if it is at most `limit` bytes; never more than that is unpacked.

    :raises Refused: 413 if it is larger, 400 if it is no whole gzip.
    """
    unpacker = zlib.decompressobj(_GZIP)
    try:
        unpacked = unpacker.decompress(data, limit + 1)
    except zlib.error as error:
        raise Refused(400, "invalid_gzip", "the body is not what Content-Encoding: gzip says") from error
    if len(unpacked) > limit:
        raise Refused(413, "body_too_large", f"the body is larger than {limit} bytes when unpacked")
    if not unpacker.eof or unpacker.unused_data:
        raise Refused(400, "invalid_gzip", "the gzip body must be one whole member")
    return unpacked


def parse(data: bytes) -> Any:
    """The value of a JSON text, integers of any size included; stricter than the standard asks.

    :raises Refused: 415 if it is not UTF-8 by its first bytes, else 400.
    """
    value = quick_json.read(data, deepest=DEEPEST)
    return parse_strictly(data) if value is quick_json.UNREAD else value


def parse_strictly(data: bytes) -> Any:
    """The same, by the parser that decides and says what is wrong.

    :raises Refused: as `parse`.
    """
    if not data.strip():
        raise Refused(400, "empty_body", "the body is empty; it must be a JSON object")
    text = _text(data)
    if _depth(data) > DEEPEST:
        raise Refused(400, "too_deep", f"the body nests deeper than {DEEPEST} levels")
    if any(match[1] for match in _HALF_PAIR.finditer(text)):
        raise Refused(400, "invalid_text", "a string holds half of a surrogate pair")
    return _value(text)


def _text(data: bytes) -> str:
    if data.startswith(_OTHER_ENCODINGS) or data[1:2] == b"\x00":
        raise Refused(415, "not_utf8", "the body must be UTF-8")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Refused(400, "invalid_text", f"the body is not UTF-8 at byte {error.start}") from error


def _depth(data: bytes) -> int:
    """How deep the brackets outside strings nest, found without parsing."""
    outside = b"".join(_ESCAPE.sub(b"", data).translate(None, _NOT_STRUCTURE).split(b'"')[::2])
    return max(accumulate(map(_STEP.__getitem__, outside)), default=0)


def _value(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except _NotFinite as error:
        raise Refused(400, "not_finite", f"{error} is not a finite number") from error
    except _DuplicateKey as error:
        raise Refused(400, "duplicate_key", f"the name {error} stands twice in one object") from error
    except json.JSONDecodeError as error:
        raise Refused(400, "invalid_json", f"the body is not JSON: {error.msg} at character {error.pos}") from error
    except ValueError as error:
        raise Refused(400, "invalid_number", "an integer has thousands of digits") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _DuplicateKey(_repeated([name for name, _ in pairs]))
    return value


def _repeated(names: list[str]) -> str:
    name, _ = Counter(names).most_common(1)[0]
    return shown(name)


def _finite(text: str) -> float:
    value = float(text)
    if isinf(value):
        raise _NotFinite(text[:40])
    return value


def _constant(text: str) -> Any:
    raise _NotFinite(text)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_constant)


def _kind(value: object) -> str:
    if value is None:
        return "null"
    kinds: dict[type, str] = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return kinds[type(value)]
