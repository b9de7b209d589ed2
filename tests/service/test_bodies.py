"""What a body may be, asked through HTTP: every refusal is clear, and stores nothing."""

import gzip
import json
import zlib
from collections.abc import Iterator
from io import RawIOBase
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from service.installation import Installation
from service.requests.bodies import DEEPEST
from tests.experiments.documents import tiny
from tests.service.conftest import bearer
from tests.service.conftest import count_rows

MB = 1024 * 1024
EVENT = '{"type": "track", "event": "Order Completed", "userId": "u1", "properties": {"revenue": %s}}'


class Zeros(RawIOBase):
    """A body that goes on and on, and knows how much of it was asked for."""

    def __init__(self, length: int) -> None:
        self.left = length
        self.taken = 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next zeros."""
        size = min(len(buffer), self.left)
        buffer[:size] = b"0" * size
        self.left -= size
        self.taken += size
        return size


@pytest.fixture(name="post")
def _post(
    client: FlaskClient, keys: dict[str, str], running: dict[str, Any], installation: Installation
) -> Iterator[Any]:
    """Post a body to the batch endpoint; afterwards, nothing may have been stored."""

    def post(data: bytes, **headers: str) -> TestResponse:
        sent = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
        return client.post("/v1/batch", data=data, headers={**sent, **bearer(keys["server"])})

    yield post
    assert count_rows(installation, "events") == 0
    assert count_rows(installation, "exposures") == 0
    assert count_rows(installation, "waiting") == 0


def batch_of(*items: str) -> bytes:
    return ('{"batch": [' + ", ".join(items) + "]}").encode()


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (batch_of(EVENT % "NaN"), 400, "not_finite"),
        (batch_of(EVENT % "Infinity"), 400, "not_finite"),
        (batch_of(EVENT % "-Infinity"), 400, "not_finite"),
        (batch_of(EVENT % "1e999"), 400, "not_finite"),
        (batch_of(EVENT % "-1e999"), 400, "not_finite"),
        (batch_of(EVENT % ("1" * 5000)), 400, "invalid_number"),
        (batch_of(EVENT % '"\\ud800"'), 400, "invalid_text"),
        (batch_of(EVENT % '"\\udc00 and more"'), 400, "invalid_text"),
        (batch_of(EVENT % '"\\ud800\\u0041"'), 400, "invalid_text"),
        (b'{"batch": [], "\\uDEAD": 1}', 400, "invalid_text"),
        (b'{"batch": ["\xed\xa0\x80"]}', 400, "invalid_text"),
        (b'{"batch": ["\xff"]}', 400, "invalid_text"),
        (b"[" * 100_000, 400, "too_deep"),
        (b'{"batch": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "too_deep"),
        (b'{"batch": ' + b'{"a": ' * DEEPEST + b"1" + b"}" * DEEPEST + b"}", 400, "too_deep"),
        (b'{"batch": [], "batch": []}', 400, "duplicate_key"),
        (batch_of('{"userId": "a", "userId": "b"}'), 400, "duplicate_key"),
        (b"", 400, "empty_body"),
        (b" \n", 400, "empty_body"),
        (b"[]", 400, "not_an_object"),
        (b"null", 400, "not_an_object"),
        (b'"batch"', 400, "not_an_object"),
        (b"1", 400, "not_an_object"),
        (b"true", 400, "not_an_object"),
        (b"{", 400, "invalid_json"),
        (b'{"batch": []} x', 400, "invalid_json"),
        (b'{"batch": ["a\nb"]}', 400, "invalid_json"),
        (b"batch=1", 400, "invalid_json"),
        (b"{}", 400, "invalid_batch"),
        (b'{"batch": {}}', 400, "invalid_batch"),
        ('{"batch": []}'.encode("utf-16"), 415, "not_utf8"),
        ('{"batch": []}'.encode("utf-16-be"), 415, "not_utf8"),
        ('{"batch": []}'.encode("utf-16-le"), 415, "not_utf8"),
        (batch_of(*["1"] * 1001), 413, "batch_too_large"),
    ],
    ids=lambda value: value[:30].decode("latin-1") if isinstance(value, bytes) else str(value),
)
def test_what_cannot_be_read_is_refused_whole(post: Any, data: bytes, status: int, code: str) -> None:
    response = post(data)
    assert (response.status_code, response.json["code"]) == (status, code)
    assert response.content_type == "application/problem+json"


@pytest.mark.parametrize(
    ("item", "code"),
    [
        (EVENT % 2**70, "invalid_value"),
        (EVENT % ("1" * 400), "invalid_value"),
        (EVENT % '"NaN"', "invalid_value"),
        (EVENT % "true", "invalid_value"),
        (EVENT % "-1", "invalid_value"),
        ("[]", "invalid_event"),
        ("null", "invalid_event"),
        ('{"event": "Order Completed", "userId": "a\\u0000b"}', "invalid_visitor"),
        ('{"event": "Order Completed", "userId": true}', "invalid_visitor"),
        ('{"event": "Order Completed", "userId": ["a"]}', "invalid_visitor"),
        ('{"event": "Order Completed"}', "invalid_visitor"),
        ('{"event": "Order Completed", "userId": "u", "type": {}}', "invalid_type"),
        ('{"event": "Order Completed", "userId": "u", "timestamp": "yesterday"}', "invalid_timestamp"),
        ('{"event": "Never Heard Of", "userId": "u"}', "unknown_event"),
    ],
)
def test_what_breaks_a_rule_is_rejected_by_itself(post: Any, item: str, code: str) -> None:
    response = post(batch_of(item))
    assert response.status_code == 200
    assert [refused["code"] for refused in response.json["items"]] == [code]


def test_a_pair_of_surrogates_and_an_escaped_backslash_are_text(post: Any) -> None:
    assert post(b'{"batch": [], "a": "\\ud83d\\ude00", "b": "\\\\ud800"}').status_code == 200


def test_brackets_inside_strings_do_not_nest(post: Any) -> None:
    assert post(json.dumps({"batch": [], "a": '[{"\\' * 1000}).encode()).status_code == 200


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=UTF-8", "text/plain", ""])
def test_json_and_plain_text_are_read(post: Any, kind: str) -> None:
    assert post(b'{"batch": []}', Content_Type=kind).status_code == 200


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-16", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]
)
def test_other_kinds_and_encodings_are_refused(post: Any, kind: str) -> None:
    response = post(b'{"batch": []}', Content_Type=kind)
    assert response.status_code == 415
    assert response.content_type == "application/problem+json"


def test_a_packed_body_is_unpacked(post: Any) -> None:
    assert post(gzip.compress(b'{"batch": []}'), Content_Encoding="gzip").status_code == 200


@pytest.mark.parametrize(
    "data",
    [b"", b'{"batch": []}', gzip.compress(b'{"batch": []}')[:-4], gzip.compress(b'{"batch": []}') + b"more"],
    ids=["empty", "not packed", "cut off", "more behind"],
)
def test_what_is_not_one_whole_gzip_is_refused(post: Any, data: bytes) -> None:
    response = post(data, Content_Encoding="gzip")
    assert (response.status_code, response.json["code"]) == (400, "invalid_gzip")


def test_a_bomb_is_not_unpacked_further_than_the_limit(post: Any) -> None:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    bomb = b"".join(packer.compress(bytes(MB)) for _ in range(500)) + packer.flush()
    response = post(bomb, Content_Encoding="gzip")
    assert (response.status_code, response.json["code"]) == (413, "body_too_large")


def test_an_encoding_nobody_knows_is_refused(post: Any) -> None:
    assert post(b'{"batch": []}', Content_Encoding="br").status_code == 415


def test_a_body_of_100_mb_is_refused_unread(client: FlaskClient, keys: dict[str, str]) -> None:
    body = Zeros(100 * MB)
    response = client.post(
        "/v1/batch", content_type="application/json", headers=bearer(keys["server"]),
        environ_overrides={"wsgi.input": body, "CONTENT_LENGTH": str(100 * MB)},
    )
    assert (response.status_code, response.json["code"]) == (413, "body_too_large")
    assert body.taken == 0


def test_a_body_without_a_length_is_refused_once_it_is_too_long(client: FlaskClient, keys: dict[str, str]) -> None:
    body = Zeros(100 * MB)
    response = client.post(
        "/v1/batch", content_type="application/json", headers=bearer(keys["server"]),
        environ_overrides={
            "wsgi.input": body, "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked",
        },
    )
    assert (response.status_code, response.json["code"]) == (413, "body_too_large")
    assert body.taken < 2 * MB


@pytest.mark.parametrize("size", [MB, MB + 1])
def test_the_limit_itself_is_allowed(client: FlaskClient, keys: dict[str, str], size: int) -> None:
    data = b'{"batch": [], "a": "' + b"a" * (size - 22) + b'"}'
    response = client.post("/v1/batch", data=data, content_type="application/json", headers=bearer(keys["server"]))
    assert len(data) == size
    assert response.status_code == (200 if size == MB else 413)


@pytest.mark.parametrize("data", [b"[]", b"null", b"[" * 100_000, b'{"key": NaN}', b'{"key": "a", "key": "b"}'])
def test_documents_are_read_as_strictly(
    client: FlaskClient, keys: dict[str, str], installation: Installation, data: bytes
) -> None:
    response = client.post(
        "/v1/experiments", data=data, content_type="application/json", headers=bearer(keys["admin"])
    )
    assert response.status_code == 400
    assert count_rows(installation, "experiments") == 0


def test_a_number_beyond_64_bits_in_a_document_breaks_a_rule(
    client: FlaskClient, keys: dict[str, str], installation: Installation
) -> None:
    response = client.post("/v1/experiments", json=tiny(audience=2**70), headers=bearer(keys["admin"]))
    assert (response.status_code, response.json["code"]) == (422, "invalid_document")
    assert [fault["field"] for fault in response.json["problems"]] == ["audience"]
    assert count_rows(installation, "experiments") == 0
