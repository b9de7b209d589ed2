"""Pages of another origin than the server's: a folder that is served, and a page with a program bundled into it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.service.processes import REPOSITORY

CLIENTS = REPOSITORY / "tests" / "clients" / "web"
_PAGE = '<!doctype html><title>Shop</title><script type="module" src="program.js"></script>'
_BUNDLE = [CLIENTS / "node_modules/.bin/esbuild", "--bundle", "--format=esm"]


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that logs nothing, and has an answer for browsers that look for an icon."""

    def do_GET(self) -> None:
        """Send a file; of an icon that there is none is no complaint."""
        if self.path != "/favicon.ico":
            return super().do_GET()
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The origin of a server of the files of a folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_page(folder: Path, program: str) -> None:
    """Write a page that runs a program, with the published clients in it as a site would bundle them."""
    done = subprocess.run(_BUNDLE, cwd=CLIENTS, input=program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder / "program.js").write_text(done.stdout)
    (folder / "index.html").write_text(_PAGE)
