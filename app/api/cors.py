"""Browser clients on other origins: which may come, and which of our headers they may read."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

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
