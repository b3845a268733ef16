"""The connection pool, and what `/ready` says about the database."""

from __future__ import annotations

import asyncio
import logging
import select
from contextlib import suppress
from typing import Any, cast

from psycopg import AsyncConnection, OperationalError
from psycopg.errors import InsufficientPrivilege
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from app.observability.metrics import Metrics
from app.observability.pool import MeasuredPool
from app.runtime.connection import connection_string
from app.runtime.problems import Unavailable
from app.runtime.schema import UnusableSchema, migrate
from app.runtime.store_vectors import prepare_vectors
from app.settings import Settings

log = logging.getLogger(__name__)

Pool = AsyncConnectionPool[AsyncConnection[DictRow]]

RETRY_SECONDS = 2
READY_TIMEOUT_SECONDS = 1.5  # below the 2 s after which the readiness probe gives up (infra/kubernetes/service.py)
FIRST_ATTEMPT_SECONDS = 15


def create_pool(settings: Settings) -> MeasuredPool:
    """A pool that notices dead connections: managed databases close idle ones without a word (langgraph#7304)."""
    options: dict[str, Any] = {
        "autocommit": True,  # CREATE INDEX CONCURRENTLY and single-statement writes (langgraph#5327)
        "row_factory": dict_row,
        "prepare_threshold": settings.prepare_threshold,
    }
    return MeasuredPool(
        connection_string(settings),
        connection_class=AsyncConnection[DictRow],
        kwargs=options,
        min_size=settings.pool_min_size,
        max_size=settings.pool_max_size,
        timeout=settings.pool_timeout_seconds,
        check=_check,
        max_idle=300,
        max_lifetime=1800,
        # A new attempt begins with the next request then; left alone the pool would wait 1, 2, 4, 8 ... seconds.
        reconnect_timeout=1,
        open=False,
        name="postgres",
    )


async def _check(connection: AsyncConnection[DictRow]) -> None:
    """Asks only a connection that has something to read while nothing was asked: mostly, that it was closed.

    psycopg would ask each time: two round trips, 15 % of a small run's CPU. A server that vanished without a word is
    found by the kernel (KEEPALIVE), which makes the socket readable as well.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        await AsyncConnectionPool.check_connection(cast("AsyncConnection[Any]", connection))


class Database:
    """The pool and the state of its schema; opens also while PostgreSQL is away, and keeps trying."""

    def __init__(self, settings: Settings, metrics: Metrics, vector_dimensions: int | None = None) -> None:
        self.pool = create_pool(settings)
        self.pool.measure_with(metrics)
        self._connection_string = connection_string(settings)
        self._vector_dimensions = vector_dimensions
        self._pending: str | None = "the schema has not been checked yet"
        self._preparing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Waits for the first attempt only: a service without its database starts, and says that it is not ready."""
        await self.pool.open()
        attempted = asyncio.Event()
        self._preparing = asyncio.create_task(self._prepare(attempted), name="prepare-database")
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_ATTEMPT_SECONDS):
                await attempted.wait()

    async def close(self) -> None:
        if self._preparing:
            self._preparing.cancel()
            await asyncio.gather(self._preparing, return_exceptions=True)
        await self.pool.close()

    async def reason_not_ready(self) -> str | None:
        """Why the database cannot be used now, or None."""
        if self._pending:
            return self._pending
        try:
            async with asyncio.timeout(READY_TIMEOUT_SECONDS), self.pool.connection() as connection:
                await connection.execute("SELECT 1")
        except (OperationalError, PoolTimeout, TimeoutError) as failure:
            return _reason(failure)
        return None

    def require(self) -> None:
        """Stops a request early when the schema is not in place."""
        if self._pending:
            raise Unavailable(f"The database is not ready: {self._pending}.", retry_after=RETRY_SECONDS)

    async def _prepare(self, attempted: asyncio.Event) -> None:
        while True:
            try:
                await migrate(self._connection_string)
                if self._vector_dimensions:
                    await prepare_vectors(self._connection_string, self._vector_dimensions)
            except UnusableSchema as unusable:
                self._pending = str(unusable)
                log.error("the database cannot be used", extra={"fields": {"reason": str(unusable)}})  # noqa: TRY400  no trace needed
                attempted.set()
                return
            except (OperationalError, InsufficientPrivilege, OSError) as failure:
                self._pending = _reason(failure)
                log.warning("the database cannot be used yet", extra={"fields": {"reason": str(failure).strip()}})
                attempted.set()
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._pending = None
                attempted.set()
                return


def _reason(failure: Exception) -> str:
    """Short and without host names: /ready may be public; the log has the rest."""
    if isinstance(failure, InsufficientPrivilege):
        return "the schema is older than this version, and its migration has not run"
    if isinstance(failure, TimeoutError | PoolTimeout):
        return "PostgreSQL gave no connection in time"
    return f"PostgreSQL cannot be reached ({type(failure).__name__})"
