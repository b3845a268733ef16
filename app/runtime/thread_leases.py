"""One writer per thread: a lease in PostgreSQL, renewed while a run lasts, free by itself after a crash."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from app.runtime.database import Pool
from app.runtime.problems import LeaseLost, ThreadBusy

log = logging.getLogger(__name__)

LEASE_SECONDS = 10  # a killed process blocks its threads for at most this long
RENEW_SECONDS = 3  # two renewals may fail before a lease ends

ACQUIRE = """
    INSERT INTO thread_leases AS lease (thread_id, holder, expires_at)
    VALUES (%(thread)s, %(holder)s, now() + make_interval(secs => %(seconds)s))
    ON CONFLICT (thread_id) DO UPDATE
        SET holder = excluded.holder, expires_at = excluded.expires_at
        WHERE lease.expires_at <= now()
    RETURNING holder
"""
REMAINING = "SELECT extract(epoch FROM expires_at - now())::float AS seconds FROM thread_leases WHERE thread_id = %s"
RENEW = """
    UPDATE thread_leases SET expires_at = now() + make_interval(secs => %(seconds)s)
    WHERE holder = ANY(%(holders)s) AND expires_at > now()
    RETURNING holder
"""
RELEASE = "DELETE FROM thread_leases WHERE thread_id = %s AND holder = %s"


class ThreadLeases:
    """The leases of this process; `renew_forever` runs beside the service."""

    def __init__(self, pool: Pool, lease_seconds: float = LEASE_SECONDS, renew_seconds: float = RENEW_SECONDS) -> None:
        self._pool = pool
        self._lease_seconds = lease_seconds
        self._renew_seconds = renew_seconds
        self._held: dict[UUID, asyncio.Timeout] = {}

    @asynccontextmanager
    async def hold(self, thread_id: str) -> AsyncGenerator[None]:
        """Raises ThreadBusy when another run holds the thread, LeaseLost when this one could not keep it."""
        holder = uuid4()
        loop = asyncio.get_running_loop()
        # Counted from before the question, so our end comes before the database's, whatever the answer's delay.
        asked = loop.time()
        await self._acquire(thread_id, holder)
        deadline = asyncio.timeout_at(asked + self._lease_seconds)
        try:
            async with deadline:
                self._held[holder] = deadline
                yield
        except TimeoutError:
            if not deadline.expired():
                raise
            raise LeaseLost("The run lost its hold on the thread, because the database was away too long.") from None
        finally:
            self._held.pop(holder, None)
            await self._release(thread_id, holder)

    async def renew_forever(self) -> None:
        """Renews all leases of the process in one statement."""
        while True:
            await asyncio.sleep(self._renew_seconds)
            if self._held:
                try:
                    await self._renew()
                except (OperationalError, PoolTimeout) as failure:
                    # Each lease ends by its own deadline when this goes on.
                    log.warning("leases not renewed", extra={"fields": {"error": type(failure).__name__}})

    async def _acquire(self, thread_id: str, holder: UUID) -> None:
        async with self._pool.connection() as connection:
            values = {"thread": thread_id, "holder": holder, "seconds": self._lease_seconds}
            if await (await connection.execute(ACQUIRE, values)).fetchone():
                return
            row = await (await connection.execute(REMAINING, (thread_id,))).fetchone()
        remaining = max(1, math.ceil(row["seconds"])) if row else 1
        raise ThreadBusy(
            "Another run is writing to this thread. Wait for its answer and send this request again.",
            field="thread_id",
            retry_after=remaining,
        )

    async def _renew(self) -> None:
        loop = asyncio.get_running_loop()
        asked = loop.time()
        values = {"holders": list(self._held), "seconds": self._lease_seconds}
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(RENEW, values)).fetchall()
        for holder in {row["holder"] for row in rows} & self._held.keys():
            if not self._held[holder].expired():
                self._held[holder].reschedule(asked + self._lease_seconds)

    async def _release(self, thread_id: str, holder: UUID) -> None:
        try:
            async with self._pool.connection() as connection:
                await connection.execute(RELEASE, (thread_id, holder))
        except (OperationalError, PoolTimeout) as failure:
            log.warning("lease not released, it will expire", extra={"fields": {"error": type(failure).__name__}})
