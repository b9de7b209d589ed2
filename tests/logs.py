"""A log for tests that end it in every way: servers of NATS, each in a folder and at ports of its own."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path
from signal import SIGHUP
from tempfile import TemporaryDirectory
from urllib.error import URLError
from urllib.request import urlopen

from tests.service.processes import REPOSITORY
from tests.service.processes import free_port
from tests.service.processes import wait_until

_SETTINGS = """
server_name: "{name}"
host: 127.0.0.1
port: {port}
http: "127.0.0.1:{http}"
{more}
"""
_STREAMS = """
jetstream {{ store_dir: "{folder}", sync_interval: always, max_file_store: {room}, max_memory_store: 256M }}
"""
_CLUSTER = """
cluster {{ name: bespoke, host: 127.0.0.1, port: {route}, routes: [{routes}] }}
"""


class LogNode:
    """One server: whether it keeps streams, how much room they have, and what else stands in its settings."""

    has_streams = True
    room = "64G"
    more = ""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.port, self.http, self.route = free_port(), free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where nodes and workers find it."""
        return f"nats://127.0.0.1:{self.port}"

    def configure(self, others: list["LogNode"]) -> None:
        """Write its settings."""
        self.folder.mkdir(exist_ok=True)
        routes = ", ".join(f'"nats://127.0.0.1:{each.route}"' for each in others)
        text = _SETTINGS.format(name=self.name, port=self.port, http=self.http, more=self.more)
        if self.has_streams:
            text += _STREAMS.format(folder=self.folder, room=self.room)
        if others:
            text += _CLUSTER.format(route=self.route, routes=routes)
        (self.folder / "nats.conf").write_text(text)

    def start(self) -> None:
        """Start it."""
        program = REPOSITORY / ".venv" / "bin" / "nats-server"
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [str(program), "-c", str(self.folder / "nats.conf")], stdout=log, stderr=log
            )

    def reload(self) -> None:
        """Have it read its settings again."""
        assert self._process is not None, "it was started"
        self._process.send_signal(SIGHUP)

    def is_healthy(self) -> bool:
        """Whether it has found the others, and is one of those that decide."""
        with suppress(URLError, OSError), urlopen(f"http://127.0.0.1:{self.http}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
        return False

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None, "it was started"
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it with -9."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wipe(self) -> None:
        """Lose its disk."""
        shutil.rmtree(self.folder / "jetstream", ignore_errors=True)


class LogCluster:
    """All of its servers."""

    def __init__(self, nodes: list[LogNode]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        """The setting of nodes and workers."""
        return ",".join(node.address for node in self.nodes)

    def start(self) -> None:
        """Start them all, and wait until they work together."""
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            wait_until(node.is_healthy, what="the log is healthy", seconds=180)

    def kill(self) -> None:
        """Kill them all."""
        for node in self.nodes:
            node.kill()

    def wipe(self) -> None:
        """Lose all that they have, as if every disk were lost."""
        self.kill()
        for node in self.nodes:
            node.wipe()
        self.start()


@contextmanager
def running_log(*, nodes: int = 3) -> Iterator[LogCluster]:
    """A log of so many servers, in memory where the machine lends it as files."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None, ignore_cleanup_errors=True) as folder:
        servers = [LogNode(f"n{number}", Path(folder) / f"n{number}") for number in range(nodes)]
        for server in servers:
            server.configure([other for other in servers if other is not server])
        cluster = LogCluster(servers)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.kill()
