"""A span around every request, named by its route: path, query and headers may hold a user's words."""

from __future__ import annotations

from fastapi.telemetry import TelemetryConfig
from opentelemetry.trace import SpanKind, StatusCode
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import contract
from app.asgi import begun_status
from app.observability.tracing import entered, parent_of, tracer

UNTRACED = {contract.LIVE_PATH, contract.READY_PATH, contract.METRICS_PATH}

NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
"""For FastAPI(telemetry=...): its own spans hold the path and the query, its log records the exception's message."""

METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}


class TracedRequests:
    """Goes outside of everything that logs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        active = tracer()
        if active is None or scope["type"] == "lifespan" or scope["path"] in UNTRACED:
            await self._app(scope, receive, send)
            return
        asked = scope.get("method", "GET")  # a WebSocket's handshake is a GET
        method = asked if asked in METHODS else "_OTHER"
        span = active.start_span(
            method,
            parent_of(Headers(scope=scope).get("traceparent")),
            SpanKind.SERVER,
            {"http.request.method": method},
        )

        async def send_with_status(message: Message) -> None:
            if status := begun_status(message):
                span.set_attribute("http.response.status_code", status)
                if status >= 500:
                    span.set_status(StatusCode.ERROR)
            await send(message)

        with entered(span):
            try:
                await self._app(scope, receive, send_with_status)
            finally:
                if route := getattr(scope.get("route"), "path_format", None):
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", route)
