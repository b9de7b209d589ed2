"""Whether the process lives, and whether it can do its work."""

from typing import Any
from typing import Literal
from typing import TypedDict

from flask import Blueprint
from flask import Response

from experiments.errors import StorageError
from experiments.storage.session import Session
from service.answers import json_answer
from service.auth import public
from service.current import current_installation
from service.installation import Installation
from service.operations import describes

bp = Blueprint("health", __name__)


class Alive(TypedDict):
    """The process answers."""

    status: Literal["ok"]


class Watch(TypedDict):
    """When the scheduler last looked for work."""

    seconds_since_last_look: float


class Ready(Alive):
    """It can do its work; `scheduler` is null where this process has none."""

    database: Literal["ok"]
    scheduler: Watch | None


class Unready(TypedDict):
    """It cannot; `database` says why."""

    status: Literal["unavailable"]
    database: str


@bp.get("/healthz")
@public
@describes(answers={200: Alive})
def healthz() -> Response:
    """The process answers."""
    return json_answer({"status": "ok"})


@bp.get("/readyz")
@public
@describes(answers={200: Ready, 503: Unready})
def readyz() -> Response:
    """The database can be read and written, and the scheduler is at work."""
    installation = current_installation()
    fault = _fault(installation)
    if fault is not None:
        return json_answer({"status": "unavailable", "database": fault.code}, status=503)
    return json_answer({"status": "ok", "database": "ok", **_scheduler(installation)})


def _fault(installation: Installation) -> StorageError | None:
    try:
        installation.store.read(_look)
        # Nothing is written, but the writer must take its turn and the lock.
        installation.store.transact(_look)
    except StorageError as error:
        return error
    return None


def _look(session: Session) -> int:
    return session.meta.config_version()


def _scheduler(installation: Installation) -> dict[str, Any]:
    ticked_ms = installation.ticked_ms
    if ticked_ms is None:
        return {"scheduler": None}
    return {"scheduler": {"seconds_since_last_look": (installation.clock.now_ms() - ticked_ms) / 1000}}
