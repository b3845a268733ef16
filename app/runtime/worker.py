"""Claims runs, executes a bounded number at once, and gives every one of them to an end or to another process."""

from __future__ import annotations

import asyncio
import logging
from uuid import UUID, uuid4

from psycopg import OperationalError
from psycopg.errors import UniqueViolation
from psycopg_pool import PoolTimeout

from app.observability.metrics import HANDED_OVER, LEASE_EXPIRED, Metrics
from app.runtime.checkpoints import PooledSaver
from app.runtime.database import Pool
from app.runtime.execution import Executor
from app.runtime.grouping import Grouped
from app.runtime.leases import LEASE_SECONDS, LeaseKeeper
from app.runtime.run import Claim, Outcome
from app.runtime.run_task import Parts, RunTask, Stop
from app.runtime.signals import Signals
from app.runtime.streaming import EventLog
from app.runtime.topics import ATTENTION, WORK, changed
from app.tables import run_claims
from app.tables.run_claims import Finished

log = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 1.0  # for delayed runs and back-offs, which nobody announces
DRAIN_LOOK_SECONDS = 0.02


class Worker:
    """The executing half of a process."""

    def __init__(
        self,
        pool: Pool,
        saver: PooledSaver,
        executor: Executor,
        events: EventLog,
        signals: Signals,
        metrics: Metrics,
        slots: int,
    ) -> None:
        self.id = uuid4()
        self.draining = False
        self.leases = LeaseKeeper(pool, self._held, self._stop)
        finish = Grouped[tuple[Claim, Outcome], Finished | None](pool, run_claims.finish)
        self._parts = Parts(pool, saver, executor, events, self.leases, metrics, finish)
        self._signals = signals
        self._slots = slots
        self._reserved = 0  # slots of runs that are being accepted or claimed
        self._caught_up = False  # the last look at the queue left nobody there
        self._running: dict[UUID, RunTask] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._free_slot = asyncio.Event()
        self._next_suspect_at = 0.0
        self._look_again_seconds = LOOK_AGAIN_SECONDS

    def reserve(self) -> UUID | None:
        """The id to claim with, if a slot is free and the last look left nobody; to be followed by begin() or free()."""
        if self.draining or not self._caught_up or self._free() < 1:
            return None
        self._reserved += 1
        return self.id

    def free(self) -> None:
        self._reserved -= 1
        self._slot_is_free()

    def begin(self, claim: Claim, asked_at: float) -> asyncio.Future[Outcome | None]:
        """Executes a claim that a reserved slot was used for; None as its result says that it goes on elsewhere."""
        self._reserved -= 1
        return self._start(claim, accepted_here=True, asked_at=asked_at).ended

    async def claim_forever(self) -> None:
        with self._signals.subscribe(WORK) as work:
            while True:
                if self._free() < 1:
                    self._caught_up = False  # nor does this look find out
                work.clear()
                self._free_slot.clear()
                if not self.draining and self._free() > 0:
                    await self._claim_some()
                waits = [asyncio.ensure_future(work.wait()), asyncio.ensure_future(self._free_slot.wait())]
                try:
                    await asyncio.wait(waits, timeout=self._look_again_seconds, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for wait in waits:
                        wait.cancel()

    async def attend_forever(self) -> None:
        with self._signals.subscribe(ATTENTION) as attention:
            while True:
                await attention.wait()
                attention.clear()
                self.leases.look_now()
                self._parts.events.tell_others()
                for running in self._running.values():
                    running.followed_elsewhere = True

    async def drain(self, seconds: float) -> None:
        """Claims nothing more; runs stop after their present step and go on elsewhere, after `seconds` within it."""
        self.draining = True
        self._parts.metrics.drains.inc()
        for running in self._running.values():
            running.request_drain()
        if not await self._all_ended(seconds):
            log.warning("steps cut off at the end of draining", extra={"fields": {"runs": len(self._running)}})
            for running in self._running.values():
                running.stop("drain")
            await self._all_ended(LEASE_SECONDS)

    async def _all_ended(self, seconds: float) -> bool:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self._running or self._reserved:
            if loop.time() > end:
                return False
            await asyncio.sleep(DRAIN_LOOK_SECONDS)
        return True

    def _held(self) -> dict[UUID, int]:
        return {run_id: running.claim.fence for run_id, running in self._running.items()}

    def _stop(self, run_id: UUID, reason: Stop) -> None:
        running = self._running.get(run_id)
        if running:
            running.stop(reason)

    def _free(self) -> int:
        return self._slots - self._reserved - len(self._running)

    def _slot_is_free(self) -> None:
        if not self._caught_up:
            self._free_slot.set()

    async def _claim_some(self) -> None:
        # Half of them when nobody is known to wait: else each look sends what is accepted meanwhile into the queue, of
        # which the next look is told, and so on (under load 30 % of the runs went that way). So a run that is accepted
        # here may begin before one that waits since this look began, never instead of it.
        wanted = (self._free() + 1) // 2 if self._caught_up else self._free()
        self._reserved += wanted
        asked_at = asyncio.get_running_loop().time()
        claims: list[Claim] = []
        try:
            async with self._parts.pool.connection() as connection:
                if self._may_take_a_suspect():
                    claims += await run_claims.claim(connection, self.id, 1, LEASE_SECONDS, suspects=True)
                claims += await run_claims.claim(connection, self.id, wanted - len(claims), LEASE_SECONDS)
            self._caught_up = len(claims) < wanted
            self._slot_is_free()  # there may be more to claim than was asked for
        except UniqueViolation:
            self._caught_up = False
            self._free_slot.set()  # another process was quicker on a thread: look again at once
        except (OperationalError, PoolTimeout) as failure:
            self._caught_up = False
            log.warning("nothing claimed", extra={"fields": {"error": type(failure).__name__}})
        finally:
            self._reserved -= wanted
        for claim in claims:
            self._parts.metrics.claims.inc()
            if not claim.is_first:
                self._parts.metrics.resumed.labels(LEASE_EXPIRED if claim.failures else HANDED_OVER).inc()
            self._start(claim, accepted_here=False, asked_at=asked_at)

    def _may_take_a_suspect(self) -> bool:
        """One at a time: a run that ends its process must not meet the same others there each time."""
        now = asyncio.get_running_loop().time()
        if now < self._next_suspect_at or any(running.is_suspect for running in self._running.values()):
            return False
        self._next_suspect_at = now + LOOK_AGAIN_SECONDS
        return True

    def _start(self, claim: Claim, *, accepted_here: bool, asked_at: float) -> RunTask:
        running = RunTask(claim, self._parts, accepted_here=accepted_here)
        if earlier := self._running.get(claim.run_id):
            earlier.stop("lost")  # its lease ended unnoticed, or it has just been given back
        self._running[claim.run_id] = running
        self.leases.began(claim.run_id, asked_at)
        self._parts.metrics.active_workflows.set(len(self._running))
        if self.draining:
            running.request_drain()
        task = asyncio.create_task(self._run(running), name=f"run-{claim.run_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return running

    async def _run(self, running: RunTask) -> None:
        run_id = running.claim.run_id
        outcome: Outcome | None = None
        try:
            outcome = await running.run()
        finally:
            if self._running.get(run_id) is running:  # not claimed again meanwhile
                self.leases.ended(run_id)
                del self._running[run_id]
            self._parts.metrics.active_workflows.set(len(self._running))
            if not running.ended.done():  # its waiter may have gone
                running.ended.set_result(outcome)
            self._tell(running, outcome)
            self._slot_is_free()

    def _tell(self, running: RunTask, outcome: Outcome | None) -> None:
        """Who waits in this process at once; the others only when some may wait, for each message costs them all."""
        run_id = running.claim.run_id
        self._parts.events.wake(run_id)
        if outcome is None or running.next_waits:
            self._signals.publish(WORK)
        if outcome is None or running.followed_elsewhere:
            self._signals.publish(changed(run_id))
