"""Plug-ins: what other packages bring by entry points, loaded once, when first asked for.

One that cannot be loaded does no harm but where it is needed: there its fault is told.
"""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint
from importlib.metadata import entry_points
from typing import Literal
from typing import NamedTuple
from typing import get_args

Group = Literal["bespoke.policies", "bespoke.outcome_sources", "bespoke.sinks"]

GROUPS: tuple[Group, ...] = get_args(Group)


class Plugin(NamedTuple):
    """What a package brings under a name; `fault` says why it cannot be used, empty where it can."""

    name: str
    package: str
    value: object
    fault: str = ""


@cache
def plugins(group: Group) -> Mapping[str, Plugin]:
    """Everything that is installed of a group, by name."""
    found: dict[str, Plugin] = {}
    for point in sorted(entry_points(group=group), key=lambda one: one.name):
        loaded = _loaded(point)
        if point.name in found:
            packages = f"{found[point.name].package} and {loaded.package}"
            loaded = loaded._replace(fault=f"is brought by two packages, {packages}: remove one")
        found[point.name] = loaded
    return found


def _loaded(point: EntryPoint) -> Plugin:
    package = f"{point.dist.name} {point.dist.version}" if point.dist else "?"
    try:
        return Plugin(point.name, package, point.load())
    except Exception as error:
        # It is code of others: whatever it raises must not end the server.
        return Plugin(point.name, package, None, f"cannot be loaded from {point.value}: {told(error)}")


def told(error: BaseException) -> str:
    """An error of other people's code as one short line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
