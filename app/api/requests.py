"""Around every request: its id, how large and how slow it may be, one log line, its metrics, and an answer when code fails."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from contextvars import ContextVar
from uuid import uuid4

from psycopg import OperationalError
from psycopg_pool import PoolTimeout
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import contract
from app.api.errors import error_response
from app.api.values import THREAD_ID_PATTERN
from app.asgi import begun_status
from app.observability.logs import frames, logged_as
from app.observability.metrics import Metrics
from app.runtime.problems import HandedOver

log = logging.getLogger(__name__)

REQUEST_ID_HEADER = "x-request-id"
# Taken over from a client only in a form that cannot break a log line or a header.
REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
CLOSE = {"connection": "close"}
CUT_OFF = (HandedOver, OperationalError, PoolTimeout)
arrived_at: ContextVar[float] = ContextVar("arrived_at")
"""When the request came, on time.monotonic."""
OPERATIONS = {contract.LIVE_PATH, contract.READY_PATH, contract.METRICS_PATH}


class RequestMiddleware:
    def __init__(self, app: ASGIApp, metrics: Metrics, max_body_bytes: int, body_seconds: float) -> None:
        self._app = app
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        request_id = given if REQUEST_ID.fullmatch(given) else str(uuid4())
        started = time.monotonic()
        arrived_at.set(started)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if begun := begun_status(message):
                status = begun
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = request_id
                if scope["type"] == "http" and scope["app"].state.service.draining.is_set():
                    headers["connection"] = "close"  # the client's next request finds another process
            await send(message)

        with logged_as(request_id=request_id):
            try:
                limited = self._limited(scope, receive) if scope["type"] == "http" else receive
                await self._app(scope, limited, send_with_id)
            except Exception as failure:
                # Starlette hides what it would have answered with, had the answer not begun.
                if status and isinstance(failure.__cause__, CUT_OFF):
                    return  # without its end: the client asks for the run's answer at Location
                fields = {"error": type(failure).__name__, "frames": frames(failure.__traceback__)}
                log.error("a request failed", extra={"fields": fields})  # noqa: TRY400  the message may quote a user
                if status:
                    raise  # the answer has begun: the connection has to break
                response = error_response(500, "internal", "The service failed; the log has this request id.")
                await response(scope, receive, send_with_id)
            finally:
                self._record(scope, status, time.monotonic() - started)

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        too_large = HTTPException(413, f"The body is larger than {self._max_body_bytes} bytes. Send less.")
        announced = Headers(scope=scope).get("content-length", "0")
        received, whole = 0, False
        loop = asyncio.get_running_loop()
        end = loop.time() + self._body_seconds

        async def receive_within_limit() -> Message:
            nonlocal received, whole
            if announced.isdecimal() and int(announced) > self._max_body_bytes:
                raise too_large
            try:
                async with asyncio.timeout_at(None if whole else end):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"The body did not arrive within {self._body_seconds:g} s.", CLOSE) from None
            received += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if received > self._max_body_bytes:
                raise too_large
            return message

        return receive_within_limit

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        # The pattern and not the path: a label per thread would never end.
        route = getattr(scope.get("route"), "path_format", "none")
        route_class = _route_class(route)
        self._metrics.http_requests.labels(route_class, str(status or 499)).inc()
        self._metrics.http_duration.labels(route_class).observe(seconds)
        level = logging.DEBUG if route in OPERATIONS and status < 500 else logging.INFO
        fields = {
            "method": scope.get("method", "WEBSOCKET"),
            "route": route,
            "status": status,
            "duration_seconds": round(seconds, 4),
        }
        # A thread id that was refused may be anything, a user's words included.
        thread_id = scope.get("path_params", {}).get("thread_id", "")
        if re.fullmatch(THREAD_ID_PATTERN, thread_id):
            fields["thread_id"] = thread_id
        log.log(level, "request", extra={"fields": fields})


def _route_class(route: str) -> str:
    if route in OPERATIONS:
        return "operations"
    if route.endswith(("/stream", "/stream/events")):
        return "stream"  # lasts as long as its run, or its thread
    if route.startswith("/workflow") or route.endswith("/runs/wait"):
        return contract.ROUTE_CLASS_INTERACTIVE
    return "threads" if route.startswith("/threads") else "other"
