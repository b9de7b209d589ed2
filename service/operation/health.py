"""Whether the process lives, and whether it can do its work."""

from collections.abc import Sequence
from typing import Literal
from typing import TypedDict

from flask import Blueprint
from flask import Response

from experiments.errors import StorageError
from experiments.storage.session import Session
from experiments.storage.store import Store
from service.auth import public
from service.cluster.state import Kept
from service.cluster.state import LogNodes
from service.cluster.state import kept
from service.cluster.state import log_nodes
from service.cluster.state import shards_reached
from service.current import current_installation
from service.installation import Installation
from service.operation.disk import space
from service.operation.measurements import age
from service.reference.operations import describes
from service.requests.answers import json_answer

bp = Blueprint("health", __name__)

#: A scheduler looks every second, a watcher four times as often: one that is so late has stopped.
_LATE_SECONDS = 60


class Alive(TypedDict):
    """The process answers."""

    status: Literal["ok"]


class Watch(TypedDict):
    """When somebody last looked."""

    seconds_since_last_look: float


class LogHealth(TypedDict):
    """How many of the log's nodes follow its leader; `lost` where they are too few to take events."""

    status: Literal["ok", "lost"]
    following: int
    nodes: int


class SpoolHealth(TypedDict):
    """What waits in the spool, and for how long; it is `full` where its disk has no room for a batch.

    It has `failed`, and keeps nothing more, where its disk could not write what it was given.
    """

    status: Literal["ok", "low", "full", "failed"]
    entries: int
    bytes: int
    seconds_waiting: float


class Readiness(TypedDict):
    """Whether it can do its work, part by part; `failing` are the parts that keep it from it.

    `database` and `schema` are ok or say what is wrong, `scheduler` is null where this process has none, `snapshot` is
    of what others change. Little space on the `disk` is no reason to send nobody here, but one to see to it. Where the
    database cannot be reached, `evaluations` go on by the last snapshot. Where events go through a log, it is ready
    while it can keep what it promises of them: in its `spool` and, unless BESPOKE_LOG_ACK is local, in the `log` too. A
    shard that is away keeps nobody from that: what is for it waits. All three are null where there is no log.
    """

    status: Literal["ok", "unavailable"]
    failing: list[str]
    database: str
    schema: str
    scheduler: Watch | None
    snapshot: Watch | None
    disk: Literal["ok", "low"]
    log: LogHealth | None
    spool: SpoolHealth | None
    shards: dict[str, Literal["ok", "away"]] | None
    evaluations: Literal["ok", "last_snapshot"]


@bp.get("/healthz")
@public
@describes(answers={200: Alive})
def healthz() -> Response:
    """The process answers."""
    return json_answer({"status": "ok"})


@bp.get("/readyz")
@public
@describes(answers={200: Readiness, 503: Readiness})
def readyz() -> Response:
    """The database can be read and written and is up to date, and the scheduler and the watcher are at work."""
    found = readiness(current_installation())
    return json_answer(found, status=503 if found["failing"] else 200)


def readiness(installation: Installation) -> Readiness:
    """What can be done now, and what cannot."""
    database, schema = _database(installation.store, now_ms=installation.clock.now_ms())
    if database == "ok" and not installation.log and installation.snapshots.latest.is_divided:
        database = "divided_visitors"
    nodes, waiting = log_nodes(installation), kept(installation)
    fit = {
        "database": database == "ok",
        "schema": schema in ("ok", "unknown"),
        "scheduler": (age(installation.ticked) or 0) < _LATE_SECONDS,
        "snapshot": (age(installation.watched) or 0) < _LATE_SECONDS,
        "log": nodes is None or nodes.takes or not nodes.is_awaited,
        "spool": waiting is None or not (waiting.is_full or waiting.has_failed),
    }
    failing = [part for part, is_fit in fit.items() if not is_fit]
    return {
        "status": "unavailable" if failing else "ok",
        "failing": failing,
        "database": database,
        "schema": schema,
        "scheduler": _watch(installation.ticked),
        "snapshot": _watch(installation.watched),
        "evaluations": "ok" if installation.store.is_reached() else "last_snapshot",
        "disk": "low" if (disk := space(installation.config)) and disk.is_low else "ok",
        "log": nodes and _log(nodes),
        "spool": waiting and _spool(installation, waiting),
        "shards": _shards(installation),
    }


def _log(nodes: LogNodes) -> LogHealth:
    return {"status": "ok" if nodes.takes else "lost", "following": nodes.following, "nodes": nodes.nodes}


def _spool(installation: Installation, found: Kept) -> SpoolHealth:
    now_ms = installation.clock.now_ms()
    return {
        "status": _spool_status(installation, found),
        "entries": sum(found.lags.values()),
        "bytes": found.bytes,
        "seconds_waiting": 0.0 if found.since_ms is None else max(now_ms - found.since_ms, 0) / 1000,
    }


def _spool_status(installation: Installation, found: Kept) -> Literal["ok", "low", "full", "failed"]:
    if found.has_failed:
        return "failed"
    return "full" if found.is_full else "low" if found.is_low(installation.config) else "ok"


def _shards(installation: Installation) -> dict[str, Literal["ok", "away"]] | None:
    found = shards_reached(installation)
    return None if found is None else {shard: "ok" if is_reached else "away" for shard, is_reached in found.items()}


def _database(store: Store, *, now_ms: int) -> tuple[str, str]:
    """Whether it can be read and written, by a row that nobody reads; and whether it has all tables."""
    try:
        lacks = store.read(lambda session: session.lacks())
        # Together with the events of others: one that is alone would let all nodes' events wait for every look.
        store.transact_together(_write, now_ms)
    except StorageError as error:
        return error.code, "unknown"
    return "ok", f"lacks {', '.join(lacks)}" if lacks else "ok"


def _write(session: Session, times_ms: Sequence[int]) -> Sequence[None]:
    session.meta.set("looked_ms", str(max(times_ms)))
    return [None] * len(times_ms)


def _watch(since: float | None) -> Watch | None:
    seconds = age(since)
    return None if seconds is None else {"seconds_since_last_look": round(seconds, 3)}
