"""Requests of users who signed in somewhere, without a token: the header says who, and the application believes it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.application import create_app
from app.security.caller import ALL_SCOPES, Caller
from app.settings import Settings

USER, TENANT = "x-test-user", "x-test-tenant"


class Believed:
    """In the place of the sign-in."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if user := headers.get(USER):
            scope["caller"] = Caller(tenant=headers.get(TENANT, "acme"), user=user, scopes=ALL_SCOPES)
        await self._app(scope, receive, send)


@asynccontextmanager
async def opened(settings: Settings, address: str = "127.0.0.1") -> AsyncGenerator[tuple[FastAPI, httpx.AsyncClient]]:
    """The application and a client at an address."""
    app = create_app(settings)
    transport = httpx.ASGITransport(Believed(app), client=(address, 4711))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service", timeout=30) as client,
    ):
        yield app, client
