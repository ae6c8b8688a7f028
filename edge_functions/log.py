"""The log: one event a line on standard error, as JSON or as text, of the service and of the libraries below it.

No line has an address, a path (those of pages hold invite ids), a user, a device or what a request holds. Of an error
it has type and places, never its text, which may quote rows and requests.
"""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from edge_functions.errors import defect

_encode = json.JSONEncoder(separators=(",", ":"), default=str).encode
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that is being answered; stands in every line that is written meanwhile."""


def configure(kind: str | None, level: str | None) -> None:
    """Set up logging for this process. `kind`, `level`: the settings COTERIE_LOG and COTERIE_LOG_LEVEL."""
    kind = kind or ("text" if sys.stderr.isatty() else "json")
    own = (level or ("info" if kind == "json" else "warning")).upper()
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if kind == "json" else TextLines())
    # Libraries never below warning: there they write addresses, headers and frames.
    logging.basicConfig(level=own if own == "ERROR" else "WARNING", handlers=[handler], force=True)
    logging.getLogger("edge_functions").setLevel(own)
    logging.captureWarnings(capture=True)
    # Not looked up for each line, because no line has them (docs.python.org/3/howto/logging.html, Optimization).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What a line says: `event`, and `detail`, `request` and the fields that `extra={"fields": …}` gave."""
    own = record.name == "edge_functions"
    event, _, rest = record.getMessage().partition("\n")
    detail = rest if own else ""  # a library's further lines may be an error's text
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        detail = defect(error)
    elif event.startswith("Traceback"):  # as text: Starlette's, of what went wrong at the start or the end
        event, detail = _untold(rest)
    fields: dict[str, Any] = {"event": event}
    if not own:
        fields["logger"] = record.name
    if (request := request_id.get()) is not None:
        fields["request"] = request
    fields |= getattr(record, "fields", {})
    return fields | ({"detail": detail} if detail else {})


def _untold(traceback: str) -> tuple[str, str]:
    """The type and the places of a traceback in text, without what the error said."""
    places = [line for line in traceback.splitlines() if line.startswith("  File ")]
    last = next((line for line in reversed(traceback.splitlines()) if line and not line.startswith(" ")), "")
    return last.partition(":")[0], "\n".join(places)


class JsonLines(logging.Formatter):
    """An object a line: `time` (RFC 3339, UTC), `level`, `event`, and what else there is."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        head = {"time": time.replace("+00:00", "Z"), "level": record.levelname.lower()}
        return _encode({**head, **fields_of(record)})


class TextLines(logging.Formatter):
    """For a person at a terminal: time of day, level, event, then the rest as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        fields = fields_of(record)
        event, detail = fields.pop("event"), fields.pop("detail", None)
        words = [f"{datetime.fromtimestamp(record.created).astimezone():%H:%M:%S}", record.levelname, event]
        words += [f"{name}={value}" for name, value in fields.items() if value is not None]
        return " ".join(words) + (f"\n{detail}" if detail else "")
