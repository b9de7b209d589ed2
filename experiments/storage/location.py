"""Where a database is: a file of this machine, or a server that many nodes share."""

from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit


#: The name of the database that has the experiments, beside the shards that are others.
CONTROL = "control"


class Server(NamedTuple):
    """A database of a PostgreSQL server, by its address; as text it has no password."""

    url: str

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        user, _, host = parts.netloc.rpartition("@")
        name = user.partition(":")[0]
        return f"postgresql://{f'{name}@' if name else ''}{host}{parts.path}"


Location = Path | Server
