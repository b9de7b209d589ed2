"""What a client asks, in plain values: the same whether Flask read the request or the express lane."""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

from experiments.storage.configuration import KeyRow
from service.installation import Installation


def stay() -> None:
    """Keep one's turn, or do without."""


class Asked(NamedTuple):
    """A call with a key that is good for it; `name` ends its address, `objects` is the signal against being counted.

    `leave` lets another have the turn of whoever has little left to do but wait.
    """

    name: str
    body: dict[str, Any]
    key: KeyRow
    objects: bool
    leave: Callable[[], None] = stay


#: Answers what is asked with a JSON value, or raises what everything else is refused by.
Lane = Callable[[Installation, Asked], Any]
