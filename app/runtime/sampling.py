"""Measures what no single run shows: how many wait, for how long, and which ways of waking are down."""

from __future__ import annotations

import asyncio
import logging

from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from app.observability.metrics import Metrics
from app.runtime.database import Pool
from app.runtime.signals import Signals
from app.tables import runs

log = logging.getLogger(__name__)

SAMPLE_SECONDS = 5.0  # a third of the scrape interval (15 s), so that no scrape sees a value of before the last


class Sampler:
    """Every process samples: a queue gauge that only one of them had would vanish with it."""

    def __init__(self, pool: Pool, signals: Signals, metrics: Metrics) -> None:
        self._pool = pool
        self._signals = signals
        self._metrics = metrics

    async def sample_forever(self) -> None:
        while True:
            try:
                await self.sample()
            except (OperationalError, PoolTimeout) as failure:
                log.warning("queue not sampled", extra={"fields": {"error": type(failure).__name__}})
            await asyncio.sleep(SAMPLE_SECONDS)

    async def sample(self) -> None:
        for path, away in self._signals.away().items():
            self._metrics.signals_degraded.labels(path).set(away)
        async with self._pool.connection() as connection:
            rows = await runs.queue_statistics(connection)
        self._metrics.queue(
            {row["priority"]: row["waiting"] for row in rows},
            {row["priority"]: row["oldest_seconds"] for row in rows},
        )
