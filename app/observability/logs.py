"""JSON logs on stdout, one object a line, with the request, thread, run and trace they belong to.

A user's words stay out: of exceptions only type and place are written, of messages only those that stand in the code.
"""

from __future__ import annotations

import inspect
import json
import logging
import sys
import threading
import traceback
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

import orjson

from app.observability.tracing import current_trace_id

log = logging.getLogger(__name__)

_context: ContextVar[dict[str, str] | None] = ContextVar("log_context", default=None)

# Ours, and what is said about connections: needed to find out why there is none.
_MAY_FORMAT = ("app.", "psycopg.pool")
# What asyncio says is put together from the failure's text; these first lines are its own.
_OF_ASYNCIO = {
    "Task exception was never retrieved",
    "Future exception was never retrieved",
    "Task was destroyed but it is pending!",
}
WITHHELD = "withheld"


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
    """One line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": _event(record),
            **(_context.get() or {}),
        }
        if trace_id := current_trace_id():
            line["trace_id"] = trace_id
        if record.name.startswith("app."):
            line |= getattr(record, "fields", {})
        if line["event"] == WITHHELD:
            line["at"] = f"{record.pathname}:{record.lineno} {record.funcName}"
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            line["frames"] = frames(record.exc_info[2])
        try:
            return orjson.dumps(line, default=str).decode()
        except TypeError:  # a lone surrogate or a number beyond 64 bits
            return json.dumps(line, default=str)


def _event(record: logging.LogRecord) -> str:
    first = str(record.msg).partition("\n")[0]
    if record.name == "asyncio" and first in _OF_ASYNCIO:
        return first
    if not _stands_in_the_code(record):
        return WITHHELD
    return record.getMessage().partition("\n")[0] if record.name.startswith(_MAY_FORMAT) else first


def _stands_in_the_code(record: logging.LogRecord) -> bool:
    """Whether the message is a constant of the function that logs it.

    An f-string is not: LangGraph and LangChain put exceptions into theirs, and exceptions quote what users sent.
    """
    frame = inspect.currentframe()
    while frame:
        code = frame.f_code
        if code.co_filename == record.pathname and code.co_name == record.funcName:
            return record.msg in code.co_consts
        frame = frame.f_back
    return False


def frames(trace: TracebackType | None, last: int = 12) -> list[str]:
    """Where an exception was raised, innermost last."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)[-last:]]


def configure_logging(level: str) -> None:
    """Sends every logger of the process to stdout as JSON, and what Python itself would print to stderr."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("app").setLevel(level)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # Our way to cut an answer off (app/api/requests.py), which every deploy does to those who wait.
    logging.getLogger("uvicorn.error").addFilter(lambda record: "without completing response" not in str(record.msg))
    logging.raiseExceptions = False  # a line that cannot be written would be printed with its arguments
    warnings.showwarning = _log_warning
    sys.excepthook = _log_uncaught
    sys.unraisablehook = lambda raised: _log_uncaught(raised.exc_type, raised.exc_value, raised.exc_traceback)
    threading.excepthook = lambda raised: _log_uncaught(raised.exc_type, raised.exc_value, raised.exc_traceback)


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """pydantic's warnings quote the value they are about."""
    log.warning("a warning", extra={"fields": {"category": category.__name__, "at": f"{filename}:{lineno}"}})


def _log_uncaught(kind: type[BaseException], failure: BaseException | None, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    log.critical("an uncaught exception", extra={"fields": {"error": kind.__name__, "frames": frames(trace)}})
