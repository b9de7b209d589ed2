"""Outlets: the sources and sinks that settings name, built in or brought by packages, each as KIND:TARGET."""

import hashlib
from collections.abc import Callable
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import Any
from typing import NamedTuple

from experiments.plugins import Group
from experiments.plugins import plugins
from experiments.plugins import told

#: Loaded like those of packages, only where they are named.
_BUILT_IN: Mapping[Group, Mapping[str, str]] = {
    "bespoke.outcome_sources": {"folder": "service.outlets.folders:FolderSource"},
    "bespoke.sinks": {"folder": "service.outlets.folders:FolderSink", "webhook": "service.outlets.webhook:Webhook"},
}


class Outlet(NamedTuple):
    """A source or a sink, opened; `name` tells it from others without its target, which may hold a secret."""

    name: str
    opened: Callable[..., Any]


def outlets(group: Group) -> Callable[[str], tuple[Outlet, ...]]:
    """A reader of sources or sinks with spaces between them, or `off`."""
    word = "source" if group == "bespoke.outcome_sources" else "sink"

    def read(text: str) -> tuple[Outlet, ...]:
        return () if text == "off" else tuple(_outlet(group, word, part) for part in text.split())

    return read


def _outlet(group: Group, word: str, text: str) -> Outlet:
    kind, _, target = text.partition(":")
    if not target:
        raise ValueError("must be off, or KIND:TARGET with spaces between")
    digest = hashlib.sha256(target.encode()).hexdigest()[:8]
    return Outlet(f"{word} {kind} {digest}", _opened(_opener(group, kind), target))


def _opener(group: Group, kind: str) -> Callable[[str], Any]:
    """What opens a kind.

    :raises ValueError: if it is not installed, or cannot be used.
    """
    if kind in _BUILT_IN[group]:
        opener: Callable[[str], Any] = EntryPoint(kind, _BUILT_IN[group][kind], group).load()
        return opener
    plugin = plugins(group).get(kind)
    if plugin is None:
        raise ValueError(f"must be of a kind that is installed: {', '.join([*_BUILT_IN[group], *plugins(group)])}")
    if plugin.fault or not callable(plugin.value):
        raise ValueError(f"names {kind}, which {plugin.fault or 'must be a function of a target'}")
    return plugin.value


def _opened(opener: Callable[[str], Any], target: str) -> Callable[..., Any]:
    try:
        opened: Callable[..., Any] = opener(target)
    except ValueError:
        raise
    except Exception as error:
        # It may be code of others, which must not end a command by a trace.
        raise ValueError(f"cannot be opened: {told(error)}") from error
    return opened
