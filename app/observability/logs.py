"""JSON logs on stdout, one object a line, with the request and thread they belong to."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType

import orjson

_context: ContextVar[dict[str, str] | None] = ContextVar("log_context", default=None)

# Their messages are about connections and sockets. Any other library may put a user's words into a message,
# so of those only the template is written, without its arguments.
_TRUSTED = ("app", "uvicorn", "psycopg.pool")


@contextmanager
def logged_as(**fields: str) -> Generator[None]:
    """Adds fields such as request_id to every line logged inside."""
    token = _context.set({**(_context.get() or {}), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def current(name: str) -> str | None:
    """A field of the running request, such as request_id."""
    return (_context.get() or {}).get(name)


class JsonFormatter(logging.Formatter):
    """One line of JSON; an exception is its type and its place, for its message may quote a user."""

    def format(self, record: logging.LogRecord) -> str:
        trusted = record.name.split(".")[0] in _TRUSTED or record.name in _TRUSTED
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": (record.getMessage() if trusted else str(record.msg)).partition("\n")[0],
            **(_context.get() or {}),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            line["frames"] = frames(record.exc_info[2])
        return orjson.dumps(line, default=str).decode()


def frames(trace: TracebackType | None, last: int = 12) -> list[str]:
    """Where an exception was raised, innermost last."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)[-last:]]


def configure_logging(level: str) -> None:
    """Sends every logger of the process to stdout as JSON."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("app").setLevel(level)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
