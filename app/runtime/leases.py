"""Keeps this process's claims, finds those of dead ones, and gives up what failed too often."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Literal
from uuid import UUID

from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from app.observability.metrics import Metrics
from app.runtime.database import Pool
from app.runtime.run import CancelAction
from app.runtime.signals import Signals
from app.runtime.topics import WORK, changed
from app.tables import run_claims

log = logging.getLogger(__name__)

LEASE_SECONDS = 10.0  # a killed process holds its runs for at most this long
RENEW_SECONDS = 3.0  # two renewals may fail before a lease ends
RETRY_SECONDS = 0.5
WATCH_SECONDS = 0.5
REAP_SECONDS = 1.0
MOST_FAILURES = 4
GIVEN_UP = {
    "error": "gave_up",
    "message": f"The run lost its worker or database {MOST_FAILURES + 1} times at one step.",
}

Loss = Literal["interrupt", "rollback", "lost"]


class LeaseKeeper:
    """Renews what `held` names in one statement; tells `lose` what is gone or to be cancelled.

    A claim's own end is counted from before the renewal was sent, on this process's monotonic clock: it comes before
    the database's end, whatever the delay and whatever either wall clock says.
    """

    def __init__(self, pool: Pool, held: Callable[[], Mapping[UUID, int]], lose: Callable[[UUID, Loss], None]) -> None:
        self._pool = pool
        self._held = held
        self._lose = lose
        self._ends: dict[UUID, float] = {}
        self._look = asyncio.Event()

    def began(self, run_id: UUID, asked_at: float) -> None:
        """A claim that was asked for at `asked_at`, in the event loop's time."""
        self._ends[run_id] = asked_at + LEASE_SECONDS

    def ended(self, run_id: UUID) -> None:
        self._ends.pop(run_id, None)

    def holds(self, run_id: UUID) -> bool:
        """Whether the claim is certainly still ours."""
        return self.end_of(run_id) > asyncio.get_running_loop().time()

    def end_of(self, run_id: UUID) -> float:
        """In the event loop's time."""
        return self._ends.get(run_id, 0)

    def look_now(self) -> None:
        """Renews at once, which also reads what cancellations were asked for."""
        self._look.set()

    async def keep_forever(self) -> None:
        wait = RENEW_SECONDS
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._look.wait()
            self._look.clear()
            wait = RENEW_SECONDS
            if not self._held():
                continue
            try:
                async with asyncio.timeout(RENEW_SECONDS):
                    await self._renew()
            except (OperationalError, PoolTimeout, TimeoutError) as failure:
                log.warning("leases not renewed", extra={"fields": {"error": type(failure).__name__}})
                wait = RETRY_SECONDS

    async def watch_forever(self) -> None:
        """Apart from the renewals, which a silent database can hold up; and first to run in a process that was frozen."""
        while True:
            for run_id in [run_id for run_id in self._ends if not self.holds(run_id)]:
                self._lose(run_id, "lost")
            await asyncio.sleep(WATCH_SECONDS)

    async def _renew(self) -> None:
        async with self._pool.connection() as connection:
            asked_at = asyncio.get_running_loop().time()
            asked = dict(self._held())
            kept: Mapping[UUID, CancelAction | None] = await run_claims.renew(connection, asked, LEASE_SECONDS)
        held = self._held()
        for run_id, fence in asked.items():
            if held.get(run_id) != fence:
                continue  # it ended meanwhile, or was given back and claimed again
            if run_id not in kept:
                self._lose(run_id, "lost")
                continue
            self._ends[run_id] = asked_at + LEASE_SECONDS
            action = kept[run_id]
            if action:
                self._lose(run_id, action)


class Reaper:
    """Every process runs one; the rows that one has locked are skipped by the others."""

    def __init__(self, pool: Pool, signals: Signals, metrics: Metrics) -> None:
        self._pool = pool
        self._signals = signals
        self._metrics = metrics

    async def reap_forever(self) -> None:
        while True:
            try:
                await self.reap()
            except (OperationalError, PoolTimeout) as failure:
                log.warning("nothing reaped", extra={"fields": {"error": type(failure).__name__}})
            await asyncio.sleep(REAP_SECONDS)

    async def reap(self) -> None:
        async with self._pool.connection() as connection:
            orphans = await run_claims.reap(connection)
            dead = await run_claims.give_up(connection, MOST_FAILURES, GIVEN_UP)
        if orphans:
            log.warning("runs of a lost worker", extra={"fields": {"runs": [str(run_id) for run_id, _ in orphans]}})
            self._signals.publish(WORK)
        if dead:
            self._metrics.dead_letters.inc(len(dead))
            log.error("runs given up", extra={"fields": {"runs": [str(run_id) for run_id in dead]}})
            self._signals.publish(WORK, *(changed(run_id) for run_id in dead))  # others on their threads may begin
