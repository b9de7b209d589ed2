"""Times as people read them: inside, they are integer milliseconds since 1970, UTC."""

from datetime import date
from datetime import datetime
from datetime import timezone

DAY_MS = 86_400_000


def iso(at_ms: int) -> str:
    """A time as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(at_ms / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def day_of(at_ms: int) -> int:
    """The UTC day of a time, in days since 1970."""
    return at_ms // DAY_MS


def date_of(day: int) -> str:
    """A UTC day, in days since 1970, as ISO 8601."""
    return iso(day * DAY_MS)[:10]


def day_from(text: str) -> int:
    """The UTC day of a date as ISO 8601 writes it, in days since 1970."""
    return (date.fromisoformat(text) - date(1970, 1, 1)).days
