"""Opens the parts of the runtime in order, and closes them in reverse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from app.models.engine import Engine
from app.observability.metrics import Metrics
from app.runtime.checkpoints import PooledSaver
from app.runtime.database import Database
from app.runtime.execution import Executor, Limits
from app.runtime.graph_config import GraphSource
from app.runtime.graphs import Graphs
from app.runtime.thread_leases import ThreadLeases
from app.runtime.threads import Threads
from app.settings import Settings


@dataclass(frozen=True)
class Service:
    """What the routers call."""

    database: Database
    graphs: Graphs
    threads: Threads
    executor: Executor


@asynccontextmanager
async def open_service(
    settings: Settings, sources: Mapping[str, GraphSource], engine: Engine, metrics: Metrics
) -> AsyncGenerator[Service]:
    async with AsyncExitStack() as stack:
        database = Database(settings)
        stack.push_async_callback(database.close)
        await database.open()
        leases = ThreadLeases(database.pool)
        renewing = asyncio.create_task(leases.renew_forever(), name="renew-leases")
        stack.push_async_callback(_cancel, renewing)
        saver = PooledSaver(database.pool)
        graphs = Graphs(sources, engine)
        threads = Threads(saver, graphs, leases)
        limits = Limits(run_seconds=settings.run_timeout_seconds, recursion=settings.recursion_limit)
        yield Service(database, graphs, threads, Executor(saver, graphs, threads, leases, metrics, limits))


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
