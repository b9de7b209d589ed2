"""Outlets: the sources and sinks that settings name, built in or brought by packages, each as KIND:TARGET."""

import hashlib
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from experiments.plugins import Group
from experiments.plugins import plugins
from experiments.plugins import told
from service.folders import FolderSink
from service.folders import FolderSource
from service.webhook import Webhook

_BUILT_IN: Mapping[Group, Mapping[str, Callable[[str], Any]]] = {
    "bespoke.outcome_sources": {"folder": FolderSource},
    "bespoke.sinks": {"folder": FolderSink, "webhook": Webhook},
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
    openers = {**_BUILT_IN[group], **_installed(group)}
    if kind not in openers or not target:
        raise ValueError(f"must be off, or KIND:TARGET with spaces between; kinds are {', '.join(openers)}")
    digest = hashlib.sha256(target.encode()).hexdigest()[:8]
    try:
        return Outlet(f"{word} {kind} {digest}", openers[kind](target))
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"cannot be opened: {told(error)}") from error


def _installed(group: Group) -> dict[str, Callable[[str], Any]]:
    return {name: one.value for name, one in plugins(group).items() if callable(one.value) and not one.fault}
