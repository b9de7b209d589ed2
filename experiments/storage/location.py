"""Where a database is: a file of this machine, or a server that many nodes share."""

from pathlib import Path
from typing import NamedTuple


#: The name of the database that has the experiments, beside the shards that are others.
CONTROL = "control"


class Server(NamedTuple):
    """A database of a PostgreSQL server, by its address; as text it has no password."""

    url: str

    def __str__(self) -> str:
        # As libpq reads it, where a # or a ? may stand in a password.
        text = self.url.partition("://")[2]
        credentials, at, place = text.partition("@")
        if not at or "/" in credentials:
            credentials, place = "", text
        name = credentials.partition(":")[0]
        return f"postgresql://{name}{'@' if name else ''}{place.partition('?')[0]}"


Location = Path | Server
