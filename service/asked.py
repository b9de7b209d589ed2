"""What a client asks, in plain values: the same whether Flask read the request or the express lane."""

from typing import Any
from typing import NamedTuple

from experiments.storage.configuration import KeyRow


class Asked(NamedTuple):
    """A call with a key that is good for it; `name` ends its address, `objects` is the signal against being counted."""

    name: str
    body: dict[str, Any]
    key: KeyRow
    objects: bool
