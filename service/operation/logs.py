"""Logs: one JSON object a line on stderr, with no secret and no visitor in it."""

import json
import logging
import traceback
from collections.abc import Mapping
from datetime import datetime
from datetime import timezone
from typing import Any

#: The loggers that are ours; what others have to say is heard from a warning on, whatever the level.
_OURS = ("experiments", "service")


class JsonLines(logging.Formatter):
    """A record as an object: time, level, event, logger, message, the trace of the request, and the record's fields.

    Escapes leave ASCII alone, so that no line can look like two, or move a terminal's cursor.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        # Here, not above: commands hardly ever log anything, and need no web.
        from service.requests.traces import trace_id

        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", record.name),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if trace := trace_id():
            line["trace_id"] = trace
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[1]:
            line |= fault(record.exc_info[1])
        return json.dumps(line, default=str).replace("\x7f", "\\u007f")


def fault(error: BaseException) -> dict[str, Any]:
    """What may be told of an error that nobody foresaw: its kind and its way, but not its text, which quotes values."""
    cause = error.__cause__ or error.__context__
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__qualname__,
        "stack": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
        **({"cause": fault(cause)} if cause else {}),
    }


def said(event: str, /, **fields: Any) -> Mapping[str, Any]:
    """The `extra` of a log call: what happened in a word that does not change, and its figures."""
    return {"event": event, "fields": fields}


def configure_logs(level: str) -> None:
    """Send the log to stderr; what was set up before is left."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for name in _OURS:
        logging.getLogger(name).setLevel(level.upper())
