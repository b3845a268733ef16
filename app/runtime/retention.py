"""Forgets what nobody needs any more: expired threads and items, old events, runs and webhooks, checkpoints behind the newest."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from app.runtime.checkpoints import PooledSaver
from app.runtime.database import Pool
from app.runtime.sessions import Sessions
from app.tables import run_events, runs, sessions, store_items, threads, webhooks
from app.tables.runs import Connection

log = logging.getLogger(__name__)

SWEEP_SECONDS = 30.0
BATCH = 200
EVENT_BATCH = 10_000
DEAD_WEBHOOK_SECONDS = 7 * 86_400  # for people to see what was given up, and why
# One process sweeps at a time; the lock belongs to a transaction, so it also holds through a pooler.
LOCK = 0x73776565_70696E67  # "sweeping"


@dataclass(frozen=True)
class Retention:
    """In seconds. None keeps for ever."""

    event_seconds: float
    run_seconds: float | None
    checkpoint_seconds: float | None
    sessions: Sessions = Sessions()  # noqa: RUF009  frozen, as the dataclass is


class Sweeper:
    """Every process has one; whoever gets the lock sweeps for all."""

    def __init__(self, pool: Pool, saver: PooledSaver, retention: Retention) -> None:
        self._pool = pool
        self._saver = saver
        self._retention = retention

    async def sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                while await self.sweep():
                    pass
            except (OperationalError, PoolTimeout) as failure:
                log.warning("nothing swept", extra={"fields": {"error": type(failure).__name__}})

    async def sweep(self) -> bool:
        """One batch; true when there may be more."""
        async with self._pool.connection() as connection, connection.transaction():
            row = await (
                await connection.execute(f"SELECT pg_try_advisory_xact_lock({LOCK}) AS ours".encode())
            ).fetchone()
            if row is None or not row["ours"]:
                return False
            expired = await threads.delete_expired(connection, BATCH)
            if self._retention.sessions.end:
                expired += await sessions.delete_ended(connection, self._retention.sessions, BATCH)
            await self._saver.delete_threads(connection, expired)
            forgotten = await self._forget_runs(connection)
            items = await store_items.delete_expired(connection, BATCH)
            await webhooks.delete_dead(connection, DEAD_WEBHOOK_SECONDS, BATCH)
        # Not while the rows above are locked: a run has hundreds.
        async with self._pool.connection() as connection:
            events = await run_events.delete_old(connection, self._retention.event_seconds, EVENT_BATCH)
        pruned = await self._prune()
        if expired or forgotten or pruned or items:
            fields = {"threads": len(expired), "runs": forgotten, "pruned": pruned, "items": items}
            log.info("swept", extra={"fields": fields})
        return max(len(expired), forgotten, pruned, items) >= BATCH or events >= EVENT_BATCH

    async def _forget_runs(self, connection: Connection) -> int:
        seconds = self._retention.run_seconds
        return 0 if seconds is None else await runs.delete_ended(connection, seconds, BATCH)

    async def _prune(self) -> int:
        seconds = self._retention.checkpoint_seconds
        if seconds is None:
            return 0
        async with self._pool.connection() as connection:
            quiet = await threads.to_prune(connection, seconds, BATCH)
        if quiet:
            await self._saver.aprune(quiet, strategy="keep_latest")
            async with self._pool.connection() as connection:
                await threads.mark_pruned(connection, quiet)
        return len(quiet)
