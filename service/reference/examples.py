"""Examples as commands that can be copied."""

import json
from shlex import quote

from service.reference.operations import Example
from service.reference.operations import KEY


def example_path(path: str, example: Example) -> str:
    """The address of an example."""
    return path.format(**example.path) + (f"?{example.query}" if example.query else "")


def curl(method: str, path: str, example: Example, *, server: str, scope: str | None) -> str:
    """The example as a command; `$KEY` stands for a key of the scope."""
    address = server + example_path(path, example)
    # A key in the address is filled in by the shell.
    written = f'"{address}"' if KEY in address else quote(address)
    lines = [f"curl {written}"]
    if method != ("GET" if example.body is None else "POST"):
        lines[0] = f"curl -X {method} {written}"
    if scope is not None and KEY not in address:
        lines.append('-H "Authorization: Bearer $KEY"')
    if example.body is not None:
        lines.append('-H "Content-Type: application/json"')
        lines.append(f"-d {quote(json.dumps(example.body, ensure_ascii=False, indent=2))}")
    return " \\\n  ".join(lines)
