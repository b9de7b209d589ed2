"""A proxy before PostgreSQL: it cuts connections when the server has committed, or falls silent on all of them."""

import socket
import threading
from collections.abc import Callable

_CHUNK = 1 << 16
#: What the server answers to COMMIT once it is done.
_COMMITTED = b"C\x00\x00\x00\x0bCOMMIT\x00"


class Proxy:
    """Listens on a port of its own, for as long as the process runs; `port` is where the server is now."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.cuts = 0
        self._wanted = 0
        self._lock = threading.Lock()
        self._may_speak = threading.Event()
        self._may_speak.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._run(self._accept)

    def cut(self, times: int) -> None:
        """Cut the next so many answers to commits."""
        with self._lock:
            self._wanted = times

    def fall_silent(self) -> None:
        """Keep all connections, and pass nothing on."""
        self._may_speak.clear()

    def speak(self) -> None:
        """Pass everything on again."""
        self._may_speak.set()

    def close(self) -> None:
        """Let nobody in any more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._run(lambda client=client: self._join(client))

    def _join(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        self._run(lambda: self._pass(client, server, lambda data: False))
        self._pass(server, client, self._is_to_be_cut)

    def _pass(self, source: socket.socket, sink: socket.socket, is_cut: Callable[[bytes], bool]) -> None:
        try:
            while (data := source.recv(_CHUNK)) and not is_cut(data):
                self._may_speak.wait()
                sink.sendall(data)
        except OSError:
            pass  # The other side has ended it.
        for each in (source, sink):
            _end(each)

    def _is_to_be_cut(self, data: bytes) -> bool:
        with self._lock:
            if self._wanted == 0 or _COMMITTED not in data:
                return False
            self._wanted -= 1
            self.cuts += 1
            return True

    def _run(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, daemon=True).start()


def _end(connection: socket.socket) -> None:
    """Close it, for a thread too that is reading from it."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # It was ended before.
    connection.close()
