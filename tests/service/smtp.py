"""A real SMTP server of a few lines: it takes whatever it is given, or refuses every recipient."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any


class Receiver(socketserver.ThreadingTCPServer):
    """Keeps the e-mails that it was given."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, *, refuses: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.refuses = refuses
        self.received: list[EmailMessage] = []

    @property
    def url(self) -> str:
        """The address of this relay."""
        return f"smtp://127.0.0.1:{self.server_address[1]}"


class _Conversation(socketserver.StreamRequestHandler):
    server: Receiver

    def handle(self) -> None:
        """Speak SMTP (RFC 5321) until the client leaves."""
        self._say("220 here")
        while line := self.rfile.readline():
            verb = line.strip().upper().split(b" ")[0]
            if verb == b"QUIT":
                self._say("221 bye")
                return
            if verb == b"DATA":
                self._say("354 go on")
                self.server.received.append(self._message())
            self._say("550 nobody here" if verb == b"RCPT" and self.server.refuses else "250 yes")

    def _message(self) -> Any:
        lines = iter(self.rfile.readline, b".\r\n")
        data = b"".join(line[1:] if line.startswith(b"..") else line for line in lines)
        return message_from_bytes(data, policy=default)

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def receiving(*, refuses: bool = False) -> Iterator[Receiver]:
    """A relay for as long as it is wanted."""
    with Receiver(refuses=refuses) as receiver:
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()
