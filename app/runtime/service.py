"""Opens the parts of the runtime in order, and closes them in reverse."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from app.models.engine import Engine
from app.observability.graph_nodes import NodeObserver
from app.observability.metrics import Metrics
from app.runtime.assistants import Assistants
from app.runtime.checkpoints import PooledSaver
from app.runtime.connection import connection_string
from app.runtime.crons import Crons, Scheduler
from app.runtime.database import Database
from app.runtime.embedder import Embedder
from app.runtime.execution import Executor, Limits
from app.runtime.graph_config import GraphSource
from app.runtime.graphs import Graphs
from app.runtime.leases import Reaper
from app.runtime.results import Results
from app.runtime.retention import Retention, Sweeper
from app.runtime.run_queue import RunQueue
from app.runtime.sampling import Sampler
from app.runtime.signals import Signals
from app.runtime.store import Stores
from app.runtime.store_settings import StoreSettings
from app.runtime.streaming import EventLog
from app.runtime.thread_streams import ThreadStreams
from app.runtime.threads import Threads
from app.runtime.user_data import UserData
from app.runtime.webhook_delivery import Courier
from app.runtime.webhook_policy import WebhookPolicy
from app.runtime.webhook_sender import WebhookSender
from app.runtime.worker import Worker
from app.security.audit import Audit
from app.security.open_streams import OpenStreams
from app.security.rate_limits import RateLimits
from app.security.sign_in import SignIn
from app.settings import Settings

log = logging.getLogger(__name__)

BEGIN_AGAIN_SECONDS = 1.0
CANCEL_AGAIN_SECONDS = 1.0


@dataclass(frozen=True)
class Service:
    """What the routers call. `worker` is None where only the API runs."""

    database: Database
    graphs: Graphs
    assistants: Assistants
    threads: Threads
    queue: RunQueue
    crons: Crons
    stores: Stores
    events: EventLog
    thread_streams: ThreadStreams
    results: Results
    signals: Signals
    audit: Audit
    users: UserData
    rates: RateLimits
    streams: OpenStreams
    metrics: Metrics
    sign_in: SignIn | None
    worker: Worker | None
    draining: asyncio.Event

    async def drain(self, seconds: float) -> None:
        """Not ready any more; runs go on elsewhere; waiting clients are cut off, to ask another process."""
        self.draining.set()
        if self.worker:
            await self.worker.drain(seconds)
        self.events.leave()
        self.queue.watch.leave()


@asynccontextmanager
async def open_service(
    settings: Settings,
    sources: Mapping[str, GraphSource],
    engine: Engine,
    metrics: Metrics,
    webhooks: WebhookPolicy,
    store: StoreSettings,
    embedder: Embedder | None,
) -> AsyncGenerator[Service]:
    async with AsyncExitStack() as stack:
        database = Database(settings, metrics, embedder.dimensions if embedder else None)
        stack.push_async_callback(database.close)
        await database.open()
        signals = Signals(connection_string(settings, direct=True), settings.valkey())
        await signals.open()
        stack.push_async_callback(signals.close)
        saver = PooledSaver(database.pool)
        stores = Stores(database.pool, store.time_to_live, embedder)
        graphs = Graphs(sources, engine, NodeObserver(metrics))
        events = EventLog(database.pool, signals, metrics)
        _background(stack, "sample", Sampler(database.pool, signals, metrics).sample_forever)
        audit = Audit(database.pool)
        _background(stack, "audit", audit.write_forever)
        _background(stack, "anchor-audit", audit.anchor_forever)
        rates = RateLimits(settings.valkey(), metrics)
        _background(stack, "limit", rates.stay_open)
        sign_in = SignIn(settings, database.pool, metrics) if settings.signs_in else None
        if sign_in:
            _background(stack, "keep-sign-in-keys", sign_in.keep_keys)
        worker = None
        if settings.role != "api":
            limits = Limits(run_seconds=settings.run_timeout_seconds, recursion=settings.recursion_limit)
            executor = Executor(saver, stores, graphs, limits)
            worker = Worker(database.pool, saver, executor, events, signals, metrics, settings.worker_slots)
            _background(stack, "write-events", events.write_forever)
            _background(stack, "keep-leases", worker.leases.keep_forever)
            _background(stack, "watch-leases", worker.leases.watch_forever)
            _background(stack, "claim-runs", worker.claim_forever)
            _background(stack, "attend", worker.attend_forever)
            _background(stack, "reap", Reaper(database.pool, signals, metrics).reap_forever)
            _background(stack, "sweep", Sweeper(database.pool, saver, _retention(settings)).sweep_forever)
        assistants = Assistants(database.pool, graphs, saver, settings.config)
        draining = asyncio.Event()
        queue = RunQueue(
            database.pool,
            signals,
            worker,
            most_pending=settings.queue_limit,
            most_of_user=settings.user_runs,
            webhooks=webhooks,
            draining=draining,
        )
        _background(stack, "watch-threads", queue.watch.attend_forever)
        if worker:
            _background(stack, "fire-crons", Scheduler(database.pool, queue, assistants, metrics).fire_forever)
            courier = await stack.enter_async_context(Courier(webhooks, settings.webhook_secret_file))
            _background(stack, "send-webhooks", WebhookSender(database.pool, courier, metrics).send_forever)
        threads = Threads(database.pool, saver, graphs, signals, most_changes=settings.pool_max_size // 2)
        yield Service(
            database=database,
            graphs=graphs,
            assistants=assistants,
            threads=threads,
            queue=queue,
            crons=Crons(database.pool, assistants, webhooks, settings.user_crons),
            stores=stores,
            events=events,
            thread_streams=ThreadStreams(database.pool, events, queue.watch),
            results=Results(database.pool, events, threads),
            signals=signals,
            audit=audit,
            users=UserData(database.pool, saver, threads, queue, audit),
            rates=rates,
            streams=OpenStreams(
                {"streams": settings.user_streams, "waits": settings.user_waits}, settings.process_streams
            ),
            metrics=metrics,
            sign_in=sign_in,
            worker=worker,
            draining=draining,
        )


def _retention(settings: Settings) -> Retention:
    return Retention(
        event_seconds=settings.event_retention_seconds,
        run_seconds=settings.run_retention_seconds,
        checkpoint_seconds=settings.checkpoint_retention_seconds,
        sessions=settings.sessions,
    )


def _background(stack: AsyncExitStack, name: str, work: Callable[[], Awaitable[None]]) -> None:
    stack.push_async_callback(_cancel, asyncio.create_task(_always(name, work), name=name))


async def _always(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """What nobody foresaw must not end it: every run here depends on each of these."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("%s failed and begins again", name)
        await asyncio.sleep(BEGIN_AGAIN_SECONDS)


async def _cancel(task: asyncio.Task[None]) -> None:
    # psycopg's pool waits with asyncio.wait_for, which may lose a cancellation before Python 3.12 (cpython#86296).
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=CANCEL_AGAIN_SECONDS)
