"""Browser clients on other origins: which may come, and which of our headers they may read."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.errors import error_response
from app.api.requests import REQUEST_ID_HEADER

# What JS clients read: the run that was made, where to follow it, the next page, how long to wait.
READABLE = (
    "content-location",
    "location",
    REQUEST_ID_HEADER,
    "x-pagination-total",
    "x-pagination-next",
    "retry-after",
)


def add_cors(app: FastAPI, origins: Sequence[str]) -> None:
    """Outside of all else, so that a browser can read errors too. Without origins there is none."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            # x-api-key, authorization, last-event-id and whatever tracing an application adds: the origin decides.
            allow_headers=["*"],
            expose_headers=list(READABLE),
        )


class CheckedOrigins:
    """Browsers leave it to the server which origins may open a WebSocket: any page could, to a laptop's service."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._allowed = {*origins, None}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] == "websocket"
            and "*" not in self._allowed
            and Headers(scope=scope).get("origin") not in self._allowed
        ):
            message = "No page of this origin may open a WebSocket here. Add the origin to AGENT_CORS_ORIGINS."
            await error_response(403, "forbidden_origin", message)(scope, receive, send)
            return
        await self._app(scope, receive, send)
