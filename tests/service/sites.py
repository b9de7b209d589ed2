"""Applications of this process, served on a port of 127.0.0.1."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from flask import Flask
from werkzeug.serving import make_server

from experiments.times import DAY_MS
from service import create_app
from service.config import load_config
from service.current import EXTENSION
from tests.experiments.house import House
from tests.service.conftest import NOW_MS
from tests.service.conftest import SetClock
from tests.service.people import add_user
from tests.service.processes import Installed
from tests.service.showroom import DAYS
from tests.service.showroom import furnish


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """The address of a server of the application."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def showroom(folder: Path, *, is_empty: bool = False) -> Iterator[Flask]:
    """The application with somebody of every role and, if it is not empty, campaigns in every state."""
    installed = Installed(folder)
    with installed.opened() as installation:
        for role in ("viewer", "editor", "admin"):
            add_user(installation, role)
        if not is_empty:
            furnish(House(installation.store, now_ms=NOW_MS - DAYS * DAY_MS))
    app = create_app(load_config(installed.settings), clock=SetClock())
    yield app
    app.extensions[EXTENSION].close()
