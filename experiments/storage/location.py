"""Where a database is: a file of this machine, or a server that many nodes share."""

from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit


class Server(NamedTuple):
    """A database of a PostgreSQL server, by its address; as text it has no password."""

    url: str

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"


Location = Path | Server
