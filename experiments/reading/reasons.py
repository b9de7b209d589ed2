"""Reasons: why somebody acts, in a line of their own words."""

from experiments.errors import InvalidReason
from experiments.errors import shown
from experiments.reading.shapes import Refusal
from experiments.reading.values import line

MAX_REASON = 500

_read = line(MAX_REASON)
#: The schema of a reason.
REASON = _read.schema


def parse_reason(text: object) -> str:
    """A reason as the ledger and the audit log keep it.

    :raises InvalidReason: if it is none.
    """
    try:
        reason = _read(text).strip()
        reason.encode()
    except Refusal as error:
        raise InvalidReason(f"reason: {shown(text)} {error}") from error
    except UnicodeEncodeError as error:
        raise InvalidReason(f"reason: {ascii(text)[:80]} must be text that UTF-8 can carry") from error
    return reason
