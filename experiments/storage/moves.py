"""The turn to move partitions and to take out shards: one process of all has it, until it has done or is gone."""

from collections.abc import Iterator
from contextlib import closing
from contextlib import contextmanager
from contextlib import suppress

import psycopg

from experiments.errors import StorageBusy
from experiments.storage.location import Server
from experiments.storage.postgres import connect
from experiments.storage.postgres import translated

#: A lock of two numbers, the first of which no lane, no listener and no step of the schema has.
_MOVING = 3


@contextmanager
def turn_to_move(control: Server) -> Iterator[None]:
    """Let nobody else move partitions meanwhile: of two who move the same one, each removes what the other has moved.

    :raises StorageBusy: if somebody does now.
    :raises StorageUnreachable: if the control database cannot be asked.
    """
    with translated(control):
        connection = connect(control)
    with closing(connection):
        with translated(control):
            (is_ours,) = connection.execute("SELECT pg_try_advisory_lock(?, ?)", (_MOVING, _MOVING)).fetchone()
        if not is_ours:
            raise StorageBusy("partitions are being moved by another process: try again once it has ended")
        try:
            yield
        finally:
            # A session may end a moment after its connection: whoever is next would be refused.
            with suppress(psycopg.Error):
                connection.execute("SELECT pg_advisory_unlock(?, ?)", (_MOVING, _MOVING))
