"""Failpoints: named steps at which a process kills itself where a setting names one, to rehearse crashes.

Every step after which something would be half done has one. A test walks over all of them: it kills a real server at
each, and holds what is stored against what was acknowledged.
"""

import os
import signal
from enum import StrEnum


class Failpoint(StrEnum):
    """The steps, in the order in which they come."""

    EVENTS_READ = "events-read"
    EVENTS_INSERTED = "events-inserted"
    EVENTS_APPLIED = "events-applied"
    VISITORS_KEPT = "visitors-kept"
    COUNTERS_KEPT = "counters-kept"
    EVENTS_COMMITTED = "events-committed"
    ALLOCATION_PROPOSED = "allocation-proposed"
    SLOT_CLAIMED = "slot-claimed"
    VERSION_BUMPED = "version-bumped"
    ALLOCATION_DETAILED = "allocation-detailed"
    ALLOCATION_APPENDED = "allocation-appended"
    SLOT_COMMITTED = "slot-committed"
    REMOVAL_COUNTED = "removal-counted"
    EVENTS_REMOVED = "removal-of-events"
    VISITORS_REMOVED = "removal-of-visitors"
    REMOVAL_COMMITTED = "removal-committed"
    FORMER_SECRET_KEPT = "rotation-former-secret-kept"
    SECRET_REPLACED = "rotation-secret-replaced"
    ROOT_SEALED = "rotation-root-sealed"
    ROTATION_COMMITTED = "rotation-committed"


_armed: Failpoint | None = None


def arm(point: Failpoint | None) -> None:
    """Let this process kill itself where it reaches the point from now on; None lets it live."""
    global _armed
    _armed = point


def reached(point: Failpoint) -> None:
    """End here, as by a loss of power to this process, if the point is the armed one."""
    if point is _armed:
        os.kill(os.getpid(), signal.SIGKILL)
