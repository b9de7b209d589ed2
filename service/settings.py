"""Readers of settings: a written value in, the value out, or a ValueError that says the rule."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.durations import parse_duration
from experiments.errors import InvalidUser
from experiments.failpoints import Failpoint
from experiments.frequency.caps import Cap
from experiments.people import parse_email
from experiments.storage.location import Location
from experiments.storage.location import Server
from service.requests.rates import Rate

SHORTEST_SECRET = 32

_RATE = re.compile(r"([0-9]{1,9})/(.+)")
_SIZE = re.compile(r"([0-9]{1,9})(B|kB|MB)")
_BYTES_BY_UNIT = {"B": 1, "kB": 1024, "MB": 1024 * 1024}
_SQLITE = "sqlite:///"
_NATS = re.compile(r"(nats|tls)://([^\s,/@]+@)?(\[[0-9a-fA-F:.]+\]|[^\s,/@:]+)(:(?P<port>[0-9]{1,5}))?")
_POSTGRESQL = re.compile(r"postgres(ql)?://[^\s\0]+")
#: What libpq reads as people mean it, so that no message shows a part of a password as something else.
_ESCAPED = re.compile(r"[a-z]+://(([^@/%]|%[0-9a-fA-F]{2})*@)?([^@?%]|%[0-9a-fA-F]{2})*(\?.*)?")


def server(text: str) -> Server:
    """A database of PostgreSQL."""
    if not _POSTGRESQL.fullmatch(text):
        raise ValueError("must be postgresql://user@host/name")
    if not _ESCAPED.fullmatch(text):
        raise ValueError("must have @, / and % of a password as %40, %2F and %25")
    return Server(text)


def database(text: str) -> Location:
    """A database of PostgreSQL, or an embedded one's file: three slashes and a relative path, four and an absolute."""
    if _POSTGRESQL.fullmatch(text):
        return server(text)
    name = text.removeprefix(_SQLITE)
    if name == text or name in ("", "/", ":memory:") or any(character in name for character in "?#\0"):
        raise ValueError("must be sqlite:///relative.db, sqlite:////absolute/path.db or postgresql://user@host/name")
    return Path(name)


def log_addresses(text: str) -> tuple[str, ...]:
    """The nodes of a log, or none."""
    if text == "off":
        return ()
    addresses = tuple(part if "://" in part else f"nats://{part}" for part in text.split(","))
    if not all(map(_is_node, addresses)):
        raise ValueError("must be nats://host:4222, with commas between several nodes, or off")
    return addresses


def _is_node(address: str) -> bool:
    match = _NATS.fullmatch(address)
    return match is not None and int(match["port"] or 4222) < 1 << 16


def secret(text: str) -> bytes:
    """The installation's secret."""
    if len(text) < SHORTEST_SECRET:
        raise ValueError(f"must have at least {SHORTEST_SECRET} characters: it has {len(text)}")
    return text.encode()


def secret_previous(text: str) -> bytes | None:
    """The secret before, or none."""
    return None if text == "off" else secret(text)


def host(text: str) -> str:
    """A name or address to listen on."""
    if not text or any(character.isspace() for character in text):
        raise ValueError("must be the name or address of an interface")
    return text


def whole(lowest: int, highest: int) -> Callable[[str], int]:
    """A reader of whole numbers between two, both included."""

    def read(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or not lowest <= int(text) <= highest:
            raise ValueError(f"must be a whole number from {lowest} to {highest}")
        return int(text)

    return read


def one_of(*words: str) -> Callable[[str], str]:
    """A reader of one of some words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return text

    return read


def lifetime(text: str) -> int:
    """The seconds of a duration that is not none at all, nor more than ten years."""
    return _seconds(text, longest="3650d")


def _seconds(text: str, *, longest: str) -> int:
    seconds = parse_duration(text)
    if not 0 < seconds <= parse_duration(longest):
        raise ValueError(f"must be between 1s and {longest}")
    return seconds


def switch(text: str) -> bool:
    """Whether something is on."""
    return one_of("on", "off")(text) == "on"


def rate(text: str) -> Rate | None:
    """So many requests in a duration; None where there is no limit."""
    if text == "0":
        return None
    match = _RATE.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise ValueError("must be requests and a duration, as in 10000/10s, or 0")
    return Rate(int(match[1]), _seconds(match[2], longest="1d"))


def frequency_cap(text: str) -> Cap | None:
    """So many exposures in a span; None where there is no cap."""
    if text == "off":
        return None
    match = _RATE.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise ValueError("must be exposures and a duration, as in 5/7d, or off")
    return Cap(int(match[1]), _seconds(match[2], longest="365d"))


def size(text: str) -> int:
    """The bytes of a written size."""
    match = _SIZE.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise ValueError("must be a whole number and a unit: 512B, 64kB or 1MB")
    return int(match[1]) * _BYTES_BY_UNIT[match[2]]


def recipients(text: str) -> tuple[str, ...]:
    """E-mail addresses with commas between them, or `nobody`."""
    if text == "nobody":
        return ()
    try:
        return tuple(parse_email(part.strip()) for part in text.split(","))
    except InvalidUser as error:
        raise ValueError("must be e-mail addresses with commas between them, or nobody") from error


def address(text: str) -> str:
    """Where browsers reach the server, without a slash at its end; empty where that is host and port."""
    if text == "auto":
        return ""
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", text):
        raise ValueError("must be like https://bespoke.example, or auto")
    return text.rstrip("/")


def failpoint(text: str) -> Failpoint | None:
    """A step of the failpoints, or none."""
    return None if text == "off" else Failpoint(one_of("off", *Failpoint)(text))


Reader = Callable[[str], Any]
