"""A conversation with a server: requests one after the other over one connection."""

from http.client import HTTPConnection
from http.client import HTTPException
from typing import Any

import msgspec

from experiments.errors import BespokeError
from service.requests.address import Address

_PATIENCE_SECONDS = 30


class Unanswered(BespokeError):
    """The server's answer was not what a client could go on with."""

    code = "unanswered"


class Conversation:
    """A client with a key; not to be shared by threads."""

    def __init__(self, address: Address, key: str) -> None:
        self._connection = HTTPConnection(address.host, address.port, timeout=_PATIENCE_SECONDS)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def get(self, path: str) -> Any:
        """The JSON at a path.

        :raises Unanswered: if the server refuses.
        """
        return self._ask("GET", path, b"")

    def post(self, path: str, body: object = None) -> Any:
        """The JSON answer to a JSON body.

        :raises Unanswered: if the server refuses.
        """
        return self._ask("POST", path, b"" if body is None else msgspec.json.encode(body))

    def _ask(self, method: str, path: str, body: bytes) -> Any:
        try:
            self._connection.request(method, path, body, self._headers)
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, HTTPException) as error:
            raise Unanswered(f"{method} {path} was not answered: {error}") from error
        if response.status >= 300:
            raise Unanswered(f"{method} {path} was answered {response.status}: {text[:500].decode(errors='replace')}")
        return msgspec.json.decode(text)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
