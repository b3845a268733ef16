"""Builds the FastAPI application; nothing of it exists before."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app import __version__
from app.api import (
    assistants,
    crons,
    operations,
    runs,
    service_info,
    stateless_runs,
    store_items,
    thread_state,
    thread_streams,
    thread_websockets,
    threads,
    users,
    workflow,
)
from app.api.audit import Audited
from app.api.cors import CheckedOrigins, add_cors
from app.api.errors import add_error_handlers
from app.api.rate_limits import RateLimited, by_address, by_user
from app.api.requests import RequestMiddleware
from app.models.providers import create_engine
from app.observability.http_traces import NO_TELEMETRY, TracedRequests
from app.observability.metrics import Metrics
from app.runtime.embedder import load_embedder
from app.runtime.graph_config import load_graphs
from app.runtime.project_file import read_project
from app.runtime.service import open_service
from app.runtime.store_settings import read_store_settings
from app.runtime.webhook_policy import read_policy
from app.security.client_address import ClientAddresses
from app.security.middleware import SignInMiddleware
from app.settings import Settings

PUBLIC = (
    assistants,
    threads,
    thread_state,
    thread_streams,
    thread_websockets,
    runs,
    stateless_runs,
    crons,
    store_items,
    workflow,
    users,
    service_info,
)
"""What clients use; a worker alone answers probes and scrapes only."""


def create_app(settings: Settings, metrics: Metrics | None = None) -> FastAPI:
    """The service with its own metrics; its database opens with the application's lifespan."""
    measured = metrics or Metrics()
    sources = load_graphs(settings.config)
    project = read_project(settings.config)
    webhooks = read_policy(
        str(settings.config),
        project.get("webhooks"),
        frozenset(settings.webhook_private_hosts),
        laptop=settings.on_laptop,
    )
    store = read_store_settings(settings.config)
    embedder = load_embedder(settings.config, store.index) if store.index else None
    engine = create_engine(settings, measured)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with open_service(settings, sources, engine, measured, webhooks, store, embedder) as service:
            app.state.service = service
            yield

    app = FastAPI(title="langgraph-eks agent service", version=__version__, lifespan=lifespan, telemetry=NO_TELEMETRY)
    # The last added is outermost: an address is counted before its token is read, a user after.
    if rate := settings.rate_of_user:
        app.add_middleware(RateLimited, limit="user_rate", rate=rate, whose=by_user)
    if settings.signs_in:
        app.add_middleware(SignInMiddleware, grace_seconds=settings.auth_stream_grace_seconds)
    app.add_middleware(Audited)
    if rate := settings.rate_of_address:
        whose = by_address(ClientAddresses(settings.trusted_proxies))
        app.add_middleware(RateLimited, limit="address_rate", rate=rate, whose=whose)
    app.add_middleware(CheckedOrigins, origins=settings.cors_origins)
    app.add_middleware(
        RequestMiddleware,
        metrics=measured,
        max_body_bytes=settings.max_body_bytes,
        body_seconds=settings.body_seconds,
    )
    add_cors(app, settings.cors_origins)
    app.add_middleware(TracedRequests)
    add_error_handlers(app)
    for module in (operations,) if settings.role == "worker" else (operations, *PUBLIC):
        app.include_router(module.router)
    if not settings.metrics_port:
        app.include_router(operations.metrics_router(measured.registry))
    return app
