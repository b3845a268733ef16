"""Executes claims, a bounded number at once, and gives every one of them to an end or to another process."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID, uuid4

from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from psycopg import OperationalError
from psycopg.errors import UniqueViolation
from psycopg_pool import PoolTimeout

from app.observability.logs import logged_as
from app.observability.metrics import Metrics
from app.runtime.checkpoints import PooledSaver, writing_as
from app.runtime.database import Pool
from app.runtime.execution import Executor
from app.runtime.leases import LEASE_SECONDS, LeaseKeeper
from app.runtime.problems import LeaseLost
from app.runtime.run import Claim, Outcome
from app.runtime.signals import Signals
from app.runtime.stream_parts import to_json
from app.runtime.streaming import EventLog, LiveRun
from app.runtime.topics import ATTENTION, WORK, changed
from app.tables import runs

log = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 1.0  # for delayed runs and back-offs, which nobody announces
DATABASE_RETRY_SECONDS = 0.25
LONGEST_BACK_OFF_SECONDS = 30.0

Stop = Literal["interrupt", "rollback", "lost", "drain"]


@dataclass
class _Execution:
    """One claim in progress. `stop` says why its task was cancelled."""

    claim: Claim
    accepted_here: bool
    control: RunControl = field(default_factory=RunControl)
    ended: asyncio.Future[Outcome | None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    task: asyncio.Task[None] | None = None
    in_graph: bool = False
    followed_elsewhere: bool = False
    stop: Stop | None = None


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
        self._pool = pool
        self._saver = saver
        self._executor = executor
        self._events = events
        self._signals = signals
        self._metrics = metrics
        self._slots = slots
        self._reserved = 0
        self._caught_up = False
        self._executions: dict[UUID, _Execution] = {}
        self._free_slot = asyncio.Event()
        self.draining = False
        self.leases = LeaseKeeper(pool, self._held, self._stop)

    # A slot for a run that is being accepted in this process.

    def reserve(self) -> UUID | None:
        """The id to claim with, if a slot is free and nobody waits before; to be followed by begin() or free()."""
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
        self._start(claim, accepted_here=True, asked_at=asked_at)
        return self._executions[claim.run_id].ended

    async def claim_forever(self) -> None:
        with self._signals.subscribe(WORK) as work:
            while True:
                work.clear()
                self._free_slot.clear()
                if not self.draining and self._free() > 0:
                    await self._claim_some()
                waits = [asyncio.ensure_future(work.wait()), asyncio.ensure_future(self._free_slot.wait())]
                try:
                    await asyncio.wait(waits, timeout=LOOK_AGAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for wait in waits:
                        wait.cancel()
                if work.is_set():
                    self._caught_up = False

    async def attend_forever(self) -> None:
        with self._signals.subscribe(ATTENTION) as attention:
            while True:
                await attention.wait()
                attention.clear()
                self.leases.look_now()
                self._events.tell_others()
                for execution in self._executions.values():
                    execution.followed_elsewhere = True

    async def drain(self, seconds: float) -> None:
        """Claims nothing more; runs stop after their present step and go on elsewhere, after `seconds` within it."""
        self.draining = True
        self._metrics.drains.inc()
        for execution in self._executions.values():
            execution.control.request_drain()
        if not await self._all_ended(seconds):
            log.warning("steps cut off at the end of draining", extra={"fields": {"runs": len(self._executions)}})
            for run_id in list(self._executions):
                self._stop(run_id, "drain")
            await self._all_ended(LEASE_SECONDS)

    async def _all_ended(self, seconds: float) -> bool:
        tasks = [execution.task for execution in self._executions.values() if execution.task]
        return not tasks or not (await asyncio.wait(tasks, timeout=seconds))[1]

    def _held(self) -> dict[UUID, int]:
        return {run_id: execution.claim.fence for run_id, execution in self._executions.items()}

    def _free(self) -> int:
        return self._slots - self._reserved - len(self._executions)

    async def _claim_some(self) -> None:
        wanted = self._free()
        asked_at = asyncio.get_running_loop().time()
        try:
            async with self._pool.connection() as connection:
                claims = await runs.claim(connection, self.id, wanted, LEASE_SECONDS)
        except UniqueViolation:
            self._free_slot.set()  # another process was quicker on a thread: look again at once
            return
        except (OperationalError, PoolTimeout) as failure:
            log.warning("nothing claimed", extra={"fields": {"error": type(failure).__name__}})
            return
        self._caught_up = len(claims) < wanted
        for claim in claims:
            self._start(claim, accepted_here=False, asked_at=asked_at)

    def _start(self, claim: Claim, *, accepted_here: bool, asked_at: float) -> None:
        execution = _Execution(claim, accepted_here)
        self._executions[claim.run_id] = execution
        self.leases.began(claim.run_id, asked_at)
        self._metrics.active_workflows.set(len(self._executions))
        execution.task = asyncio.create_task(self._run(execution), name=f"run-{claim.run_id}")

    def _stop(self, run_id: UUID, reason: Stop) -> None:
        """Cancels the graph; what is written at a run's end looks at its lease by itself."""
        execution = self._executions.get(run_id)
        if execution and execution.task and execution.in_graph and execution.stop is None:
            execution.stop = reason
            execution.task.cancel()

    async def _run(self, execution: _Execution) -> None:
        claim = execution.claim
        outcome: Outcome | None = None
        with logged_as(thread_id=claim.thread_id, run_id=str(claim.run_id)):
            started = time.monotonic()
            try:
                outcome = await self._to_its_end(execution)
            except Exception:
                log.exception("a run's worker failed; its lease will end")
            finally:
                self.leases.ended(claim.run_id)
                del self._executions[claim.run_id]
                self._metrics.active_workflows.set(len(self._executions))
                if not execution.ended.done():  # its waiter may have gone
                    execution.ended.set_result(outcome)
                self._tell(execution, outcome)
                self._slot_is_free()
                self._note(claim, outcome, time.monotonic() - started)

    def _tell(self, execution: _Execution, outcome: Outcome | None) -> None:
        """Who waits in this process at once; the others only when some may wait, for each message costs them all."""
        run_id = execution.claim.run_id
        self._events.wake(run_id)
        if outcome is None:
            self._signals.publish(WORK, changed(run_id))
        elif execution.followed_elsewhere or not execution.accepted_here:
            self._signals.publish(changed(run_id))

    def _slot_is_free(self) -> None:
        if not self._caught_up:
            self._free_slot.set()

    async def _to_its_end(self, execution: _Execution) -> Outcome | None:
        """The outcome that was written down; None when the run goes on in another claim, or was taken back."""
        claim = execution.claim
        live: LiveRun | None = None
        try:
            try:
                if claim.cancel_action is None:
                    if claim.recorded:
                        live = await self._events.open(claim, accepted_here=execution.accepted_here)
                    outcome = await self._in_graph(execution, live)
                else:
                    outcome = None
                    execution.stop = claim.cancel_action
            except GraphDrained:
                execution.stop = "drain"
                outcome = None
            except LeaseLost:
                execution.stop = "lost"
                outcome = None
            except (OperationalError, PoolTimeout) as failure:
                log.warning("a run lost its database", extra={"fields": {"error": type(failure).__name__}})
                delay = min(2.0**claim.failures - 1, LONGEST_BACK_OFF_SECONDS)
                await self._while_held(claim, lambda: self._release(claim, failed=True, after_seconds=delay))
                return None
            return await self._settle(execution, outcome, live)
        finally:
            if live:
                self._events.close(live)

    async def _in_graph(self, execution: _Execution, live: LiveRun | None) -> Outcome | None:
        claim = execution.claim

        async def emit(event: str, data: bytes) -> None:
            if live:
                await self._events.emit(live, event, data)

        await emit("metadata", to_json({"run_id": str(claim.run_id), "attempt": claim.fence}))
        execution.in_graph = True
        try:
            with writing_as(claim.run_id, claim.fence):
                return await self._executor.execute(claim, execution.control, emit)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if execution.stop is None or task is None:
                raise
            task.uncancel()  # the cancellation is answered: what follows must not be cut off
            return None
        finally:
            execution.in_graph = False

    async def _settle(self, execution: _Execution, outcome: Outcome | None, live: LiveRun | None) -> Outcome | None:
        claim = execution.claim
        if outcome is None:
            if execution.stop == "drain":
                await self._while_held(claim, lambda: self._release(claim, failed=False))
            if execution.stop == "rollback":
                await self._while_held(claim, lambda: self._take_back(claim))
            if execution.stop != "interrupt":
                return None
            outcome = await self._stopped(claim)
        ended = outcome
        if live:
            await self._while_held(claim, lambda: self._events.flushed(live))
        return outcome if await self._while_held(claim, lambda: self._finish(claim, ended)) else None

    async def _stopped(self, claim: Claim) -> Outcome:
        try:
            return await self._executor.stopped(claim)
        except Exception:  # whatever the graph raises: the run is cancelled all the same
            log.exception("the state of a cancelled run cannot be read")
            return Outcome("interrupted", interrupts=None)

    async def _while_held(self, claim: Claim, act: Callable[[], Awaitable[bool]]) -> bool:
        """Repeats what the database's absence prevents, as long as the claim is ours."""
        while self.leases.holds(claim.run_id):
            try:
                async with asyncio.timeout_at(self.leases.end_of(claim.run_id)):
                    return await act()
            except (OperationalError, PoolTimeout, TimeoutError):
                await asyncio.sleep(DATABASE_RETRY_SECONDS)
        return False

    async def _finish(self, claim: Claim, outcome: Outcome) -> bool:
        async with self._pool.connection() as connection:
            return await runs.finish(connection, claim, outcome)

    async def _release(self, claim: Claim, *, failed: bool, after_seconds: float = 0) -> bool:
        async with self._pool.connection() as connection:
            return await runs.release(connection, claim, failed=failed, after_seconds=after_seconds)

    async def _take_back(self, claim: Claim) -> bool:
        await self._saver.forget_run(claim.thread_id, str(claim.run_id))
        async with self._pool.connection() as connection:
            return await runs.take_back(connection, claim)

    def _note(self, claim: Claim, outcome: Outcome | None, seconds: float) -> None:
        if outcome:
            self._metrics.runs.labels(outcome.status).inc()
        fields = {
            "graph": claim.graph_id,
            "status": outcome.status if outcome else "passed on",
            "attempt": claim.fence,
            "duration_seconds": round(seconds, 4),
        }
        log.info("run", extra={"fields": fields})
