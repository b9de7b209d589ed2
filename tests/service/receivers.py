"""A receiver of webhooks: a server that keeps what it is sent and answers as it is told."""

import base64
import hashlib
import hmac
import json
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer
from threading import Thread
from typing import Any

KEY = b"a key of twenty-four bytes or more"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


class Receiver:
    """Takes news at an address; `status` is what it answers, `taken` what it has answered 200 to."""

    def __init__(self) -> None:
        self.status = 200
        self.refused = 0
        self.taken: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def sink(self) -> str:
        """How the setting names it."""
        return f"webhook:http://127.0.0.1:{self._server.server_port}/news?of=bespoke#{SECRET}"

    def close(self) -> None:
        """Take no more."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.status if is_signed(dict(self.headers), body) else 401
                if status == 200:
                    receiver.taken.append({**json.loads(body), "path": self.path})
                else:
                    receiver.refused += 1
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Tests read what was taken."""

        return Handler


def is_signed(headers: dict[str, str], body: bytes) -> bool:
    """Whether a request is signed as Standard Webhooks say."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    return hmac.compare_digest(headers["webhook-signature"], f"v1,{wanted}")
