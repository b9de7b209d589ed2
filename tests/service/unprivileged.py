"""Processes that files' permissions are meant for, also where the tests run as root."""

import ctypes

_PR_CAPBSET_DROP = 24
#: To write and to read what others own.
_CAPABILITIES = (1, 2)

_libc = ctypes.CDLL(None)


def without_privileges() -> None:
    """Called in a child before it becomes another program: that one may do no more than its user may."""
    for capability in _CAPABILITIES:
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
