"""A connection pool that says how long its callers wait, and how much of it is in use."""

from __future__ import annotations

from time import perf_counter

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg_pool import AsyncConnectionPool

from app.observability.metrics import Metrics


class MeasuredPool(AsyncConnectionPool[AsyncConnection[DictRow]]):
    """psycopg counts its waits only as a sum, which hides the one caller that waited for seconds."""

    _metrics: Metrics | None = None

    def measure_with(self, metrics: Metrics) -> None:
        self._metrics = metrics
        metrics.watch_pool(self.get_stats)

    async def getconn(self, timeout: float | None = None) -> AsyncConnection[DictRow]:  # noqa: ASYNC109  psycopg's signature
        started = perf_counter()
        try:
            return await super().getconn(timeout)
        finally:
            if self._metrics:
                self._metrics.pool_wait.observe(perf_counter() - started)
