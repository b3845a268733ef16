"""Builds the FastAPI application; nothing of it exists before."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.api import operations, threads, workflow
from app.api.errors import add_error_handlers
from app.api.requests import RequestMiddleware
from app.models.providers import create_engine
from app.observability.metrics import Metrics
from app.runtime.graph_config import load_graphs
from app.runtime.service import open_service
from app.settings import Settings


def create_app(settings: Settings, metrics: Metrics | None = None) -> FastAPI:
    """The service with its own metrics; its database opens with the application's lifespan."""
    measured = metrics or Metrics()
    sources = load_graphs(settings.config)
    engine = create_engine(settings, measured)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with open_service(settings, sources, engine, measured) as service:
            app.state.service = service
            yield

    app = FastAPI(title="langgraph-eks agent service", version="0.1.0", lifespan=lifespan)
    app.add_middleware(RequestMiddleware, metrics=measured, max_body_bytes=settings.max_body_bytes)
    add_error_handlers(app)
    app.include_router(workflow.router)
    app.include_router(threads.router)
    app.include_router(operations.router)
    if not settings.metrics_port:
        app.include_router(operations.metrics_router(measured.registry))
    return app
