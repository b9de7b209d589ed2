"""The webhook: news as CloudEvents in JSON, signed as Standard Webhooks are, so that stock libraries verify them."""

import base64
import binascii
import hashlib
import hmac
from http.client import HTTPConnection
from http.client import HTTPSConnection
from time import time
from urllib.parse import urlsplit

import msgspec

from experiments.errors import BespokeError
from experiments.news import News

_PATIENCE_SECONDS = 10
_PREFIX = "whsec_"
_SHORTEST_KEY = 24


class NotTaken(BespokeError):
    """A receiver did not take news."""

    code = "not_taken"


class Webhook:
    """An address that takes each news by a POST; what follows # in it is the secret, and is not sent."""

    def __init__(self, target: str) -> None:
        """Read an address like https://shop.example/news#whsec_….

        :raises ValueError: if it is none, or its secret is too short.
        """
        parts = urlsplit(target)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be like webhook:https://shop.example/news#whsec_…")
        self._key = _key(parts.fragment)
        self._is_safe, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def __call__(self, news: News) -> None:
        """Hand news over.

        :raises NotTaken: if the answer is not of the 200s; one that leads elsewhere is not followed.
        """
        body = msgspec.json.encode(news)
        connection = (HTTPSConnection if self._is_safe else HTTPConnection)(
            self._host, self._port, timeout=_PATIENCE_SECONDS
        )
        try:
            connection.request("POST", self._path, body, self._headers(news["id"], body))
            status = connection.getresponse().status
        finally:
            connection.close()
        if not 200 <= status < 300:
            raise NotTaken(f"{self._host} answered {status}, must answer 200 to 299")

    def _headers(self, number: str, body: bytes) -> dict[str, str]:
        sent = str(int(time()))
        signed = f"{number}.{sent}.".encode() + body
        signature = base64.b64encode(hmac.digest(self._key, signed, hashlib.sha256)).decode()
        return {
            "Content-Type": "application/cloudevents+json; charset=utf-8",
            "webhook-id": number,
            "webhook-timestamp": sent,
            "webhook-signature": f"v1,{signature}",
        }


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError(f"must end in # and a secret: {_PREFIX} and base64") from error
    if len(key) < _SHORTEST_KEY:
        raise ValueError(f"must end in # and a secret of {_SHORTEST_KEY} bytes or more in base64: it has {len(key)}")
    return key
