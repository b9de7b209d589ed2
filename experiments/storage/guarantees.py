"""What the promise that accepted events stay rests on in a database: how it must be set, and why."""

from collections.abc import Iterator
from collections.abc import Mapping
from typing import Literal
from typing import NamedTuple

from experiments.storage.connection import Connection

#: What the settings of a database are, by name.
Facts = Mapping[str, str]


class Finding(NamedTuple):
    """One thing that was looked at: a `fault` breaks a promise, a `note` is for people to weigh."""

    kind: Literal["ok", "note", "fault"]
    subject: str
    why: str


class _Rule(NamedTuple):
    """What a setting must be, and what happens where it is not."""

    name: str
    good: tuple[str, ...]
    otherwise: str


_RULES = {
    "sqlite": (
        _Rule("synchronous", ("full", "extra"), "a loss of power takes events that were acknowledged"),
        _Rule("journal_mode", ("wal",), "readers and the writer keep one another waiting: `bespoke init` sets it"),
    ),
    "postgresql": (
        _Rule("fsync", ("on",), "a loss of power takes events that were acknowledged, or the whole database"),
        _Rule("full_page_writes", ("on",), "a loss of power may leave half-written pages, which nothing repairs"),
        _Rule("synchronous_commit", ("on", "remote_apply"), "events are acknowledged before they are on disk"),
    ),
}


def guarantees(connection: Connection) -> Iterator[Finding]:
    """How a database is set."""
    facts = connection.facts()
    for rule in _RULES[facts["kind"]]:
        value = facts[rule.name]
        is_good = value in rule.good
        why = "what is acknowledged is on disk" if is_good else f"must be {' or '.join(rule.good)}: {rule.otherwise}"
        yield Finding("ok" if is_good else "fault", f"{rule.name} = {value}", why)
    if facts["kind"] == "postgresql":
        yield _standbys(facts)


def _standbys(facts: Facts) -> Finding:
    names, followers = facts["synchronous_standby_names"], int(facts["followers"])
    subject = f"synchronous_standby_names = {names or '(none)'}"
    if not names:
        return Finding("note", subject, "what is acknowledged is on the disk of one machine, and lost with it")
    if not followers:
        return Finding("fault", subject, "no standby follows: every commit waits, and events are answered 503")
    return Finding("ok", subject, f"what is acknowledged is on a standby's disk too; {followers} follow")
