"""One claim from its begin to its end: executed, and then ended, given back or taken back in the database."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from opentelemetry.trace import Span, StatusCode
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from app.observability.logs import logged_as
from app.observability.metrics import Metrics
from app.observability.tracing import continued
from app.runtime.checkpoints import PooledSaver, writing_as
from app.runtime.database import Pool
from app.runtime.execution import Executor, timed_out
from app.runtime.grouping import Grouped
from app.runtime.leases import LeaseKeeper
from app.runtime.problems import LeaseLost
from app.runtime.run import Claim, Outcome
from app.runtime.stream_parts import to_json
from app.runtime.streaming import EventLog, LiveRun
from app.tables import run_claims, webhooks
from app.tables.run_claims import Finished

log = logging.getLogger(__name__)

DATABASE_RETRY_SECONDS = 0.25
LONGEST_BACK_OFF_SECONDS = 30.0
CANCEL_AGAIN_SECONDS = 2.0  # a node may need a moment to clean up
# Of the event loop, from LangGraph's call to store a result until we have all that its task showed: the reader of the
# stream wakes in the next turn, after what a node wrote itself one turn later.
TURNS_TO_SHOW = 4

Stop = Literal["interrupt", "rollback", "lost", "drain", "timeout"]


@dataclass(frozen=True)
class Parts:
    """What every run of a worker uses."""

    pool: Pool
    saver: PooledSaver
    executor: Executor
    events: EventLog
    leases: LeaseKeeper
    metrics: Metrics
    finish: Grouped[tuple[Claim, Outcome], Finished | None]


class RunTask:
    """A claim in progress. `ended` gives its outcome: None when the run goes on in another claim, or was taken back."""

    def __init__(self, claim: Claim, parts: Parts, *, accepted_here: bool) -> None:
        self.claim = claim
        self.accepted_here = accepted_here
        self.followed_elsewhere = not accepted_here
        self.next_waits = False  # once it has ended
        self.ended: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()
        self._parts = parts
        self._control = RunControl()
        self._live: LiveRun | None = None
        self._graph: asyncio.Task[None] | None = None  # this task, while the graph may be cancelled
        self._stop: Stop | None = None
        self._got_on = False

    @property
    def is_suspect(self) -> bool:
        """Whether it may be what ended its last workers."""
        return self.claim.failures >= run_claims.SUSPECT and not self._got_on

    def request_drain(self) -> None:
        """The graph stops after its present step."""
        self._control.request_drain()

    def stop(self, reason: Stop) -> None:
        """Cancels the graph; what is written at a run's end looks at its lease by itself."""
        if self._graph and self._stop is None:
            self._stop = reason
            self._cancel()

    def _cancel(self) -> None:
        """Until the graph ends: a node may swallow a cancellation, and Python 3.11 does so in places."""
        if self._graph:
            self._graph.cancel()
            asyncio.get_running_loop().call_later(CANCEL_AGAIN_SECONDS, self._cancel)

    async def run(self) -> Outcome | None:
        """Never raises but when it is cancelled from outside; the lease of what went wrong unseen ends."""
        claim = self.claim
        started = time.monotonic()
        outcome: Outcome | None = None
        trace = continued(claim.trace_context, "run", again=not claim.is_first, **{"agent.graph": claim.graph_id})
        with logged_as(thread_id=claim.thread_id, run_id=str(claim.run_id)), trace as span:
            try:
                outcome = await self._to_its_end()
            except Exception:
                log.exception("a run's worker failed; its lease will end")
            finally:
                if self._live:
                    self._parts.events.close(self._live)
                self._note(outcome, time.monotonic() - started, span)
        if outcome:
            self._parts.events.ended(claim.run_id, self._live, outcome)
        return outcome

    async def _to_its_end(self) -> Outcome | None:
        claim = self.claim
        outcome: Outcome | None = None
        try:
            if claim.cancel_action is not None:
                self._stop = claim.cancel_action
            else:
                outcome = await self._in_graph()
        except GraphDrained:
            self._stop = "drain"
        except LeaseLost:
            self._stop = "lost"
        except (OperationalError, PoolTimeout) as failure:
            log.warning("a run lost its database", extra={"fields": {"error": type(failure).__name__}})
            self._parts.metrics.retries.inc()
            delay = min(2.0**claim.failures - 1, LONGEST_BACK_OFF_SECONDS)
            await self._give_back(failed=True, after_seconds=delay)
            return None
        return await self._settle(outcome)

    async def _in_graph(self) -> Outcome | None:
        claim, events = self.claim, self._parts.events
        if claim.recorded:
            self._live = await events.open(claim, accepted_here=self.accepted_here)
        live = self._live

        async def emit(event: str, data: bytes) -> None:
            if live:
                await events.emit(live, event, data)

        await emit("metadata", to_json({"run_id": str(claim.run_id), "attempt": claim.fence}))
        seconds = self._parts.executor.seconds(claim)
        self._graph = graph = asyncio.current_task()
        out_of_time = asyncio.get_running_loop().call_later(seconds, self.stop, "timeout")
        try:
            with writing_as(claim.run_id, claim.fence, self._before_storing):
                return await self._parts.executor.execute(claim, self._control, emit)
        except asyncio.CancelledError:
            if self._stop is None:
                raise
            return timed_out(seconds) if self._stop == "timeout" else None
        finally:
            out_of_time.cancel()
            self._graph = None
            while self._stop and graph and graph.uncancel():
                pass  # the cancellation is answered: what follows must not be cut off

    async def _before_storing(self) -> None:
        """What a step showed is stored before its result: a step that counts as done shows nothing any more."""
        self._got_on = True
        if self._live:
            for _ in range(TURNS_TO_SHOW):
                await asyncio.sleep(0)
            await self._parts.events.flushed(self._live)

    async def _settle(self, outcome: Outcome | None) -> Outcome | None:
        if outcome is None and self._stop != "interrupt":
            if self._stop == "drain":
                await self._give_back(failed=False)
            if self._stop == "rollback":
                await self._while_held(self._take_back)
            if self._stop == "lost":
                self._parts.metrics.lease_losses.inc()
            return None
        await self._flush()  # by the fence that they were shown with
        ended = outcome or await self._cancelled()
        return ended if await self._while_held(lambda: self._finish(ended)) else None

    async def _give_back(self, *, failed: bool, after_seconds: float = 0) -> None:
        await self._flush()  # the steps that ended are not done again, and so nobody would tell of them
        await self._while_held(lambda: self._release(failed=failed, after_seconds=after_seconds))

    async def _flush(self) -> None:
        live = self._live
        if live:
            await self._while_held(lambda: self._parts.events.flushed(live))

    async def _cancelled(self) -> Outcome:
        await self._while_held(self._fence_off)
        try:
            return await self._parts.executor.stopped(self.claim)
        except Exception:  # whatever the graph raises: the run is cancelled all the same
            log.exception("the state of a cancelled run cannot be read")
            return Outcome("interrupted", interrupts=None)

    async def _while_held(self, act: Callable[[], Awaitable[bool]]) -> bool:
        """Repeats what the database's absence prevents, as long as the claim is ours."""
        leases, run_id = self._parts.leases, self.claim.run_id
        while leases.holds(run_id):
            try:
                async with asyncio.timeout_at(leases.end_of(run_id)):
                    return await act()
            except (OperationalError, PoolTimeout, TimeoutError):
                await asyncio.sleep(DATABASE_RETRY_SECONDS)
        return False

    async def _finish(self, outcome: Outcome) -> bool:
        ending, has_webhook = (self.claim, outcome), self.claim.has_webhook
        finished = None if has_webhook else await self._parts.finish(ending)
        if finished is None:
            async with self._parts.pool.connection() as connection, connection.transaction():
                if not await run_claims.lock(connection, self.claim):
                    return False
                (finished,) = await run_claims.finish(connection, [ending])
                if has_webhook:
                    await webhooks.add_state(connection, self.claim.run_id, to_json(outcome.values))
        self.next_waits = finished is not None and finished.next_waits
        return finished is not None

    async def _release(self, *, failed: bool, after_seconds: float = 0) -> bool:
        async with self._parts.pool.connection() as connection:
            return await run_claims.release(connection, self.claim, failed=failed, after_seconds=after_seconds)

    async def _fence_off(self) -> bool:
        """What is being stored of the run is there, and nothing of it is stored any more."""
        async with self._parts.pool.connection() as connection:
            fenced_off = await run_claims.fence_off(connection, self.claim)
        if fenced_off:
            self.claim = fenced_off
        return fenced_off is not None

    async def _take_back(self) -> bool:
        """Not one transaction, whose lock would hold up every renewal here."""
        if not await self._fence_off():
            return False
        await self._parts.saver.forget_run(self.claim.thread_id, str(self.claim.run_id))
        async with self._parts.pool.connection() as connection:
            return await run_claims.take_back(connection, self.claim)

    def _note(self, outcome: Outcome | None, seconds: float, span: Span) -> None:
        status = outcome.status if outcome else "passed on"
        span.set_attribute("agent.status", status)
        if status in {"error", "timeout"}:
            span.set_status(StatusCode.ERROR)  # an outcome raises nothing that would show it
        if outcome:
            self._parts.metrics.runs.labels(status).inc()
            self._parts.metrics.run_duration.labels(status).observe(seconds)
        fields = {
            "graph": self.claim.graph_id,
            "status": status,
            "attempt": self.claim.fence,
            "duration_seconds": round(seconds, 4),
        }
        log.info("run", extra={"fields": fields})
