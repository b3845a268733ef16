"""Accepts runs and cancellations: under the thread's lock, so that two can never disagree, or with a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal
from uuid import UUID

from psycopg.errors import UniqueViolation

from app.observability.tracing import current_traceparent
from app.runtime.database import Pool
from app.runtime.idempotency import accepted_before, digest_of
from app.runtime.leases import LEASE_SECONDS
from app.runtime.problems import (
    QueueFull,
    RunEnded,
    RunNotEnded,
    ThreadBusy,
    Unavailable,
    UnknownRun,
    UnknownThread,
)
from app.runtime.run import HANDICAP_SECONDS, CancelAction, NewRun, Outcome, Run
from app.runtime.run_refusals import refuse_answer_to_nothing, refuse_other_graph, refuse_second_answer
from app.runtime.shared_acceptance import AcceptanceWithThread, claim_of
from app.runtime.signals import Signals
from app.runtime.thread_streams import ThreadWatch
from app.runtime.topics import ATTENTION, WORK, changed
from app.runtime.webhook_policy import WebhookPolicy
from app.runtime.worker import Worker
from app.security.audit import note
from app.security.caller import Caller
from app.security.run_quota import RunQuota
from app.tables import run_acceptance, runs, threads
from app.tables.run_acceptance import Acceptance
from app.tables.runs import Connection

RETRY_SECONDS = 2


@dataclass(frozen=True)
class Accepted:
    """`new` is false for the repetition of a request with an idempotency key.

    `ending` is there when this process executes the run: None as its result says that the run goes on elsewhere.
    """

    run: Run
    new: bool = True
    ending: asyncio.Future[Outcome | None] | None = None

    @property
    def queued(self) -> bool:
        """Whether it waits, for all that this process knows."""
        return self.new and self.ending is None


@dataclass(frozen=True)
class RunSelection:
    """Runs that have not ended, by what they belong to. An empty condition is none."""

    thread_id: str | None = None
    run_ids: Sequence[UUID] | None = None
    assistant_id: str | None = None
    status: Literal["pending", "running", "all"] = "all"


@dataclass(frozen=True)
class QueueStatistics:
    """Runs of one priority: how many wait, for how long the oldest does; how many are to start later; how many run."""

    waiting: int = 0
    oldest_seconds: float = 0
    delayed: int = 0
    running: int = 0


@dataclass
class _Cancelled:
    """What the strategy did to other runs, to be told after the commit."""

    run_ids: list[UUID] = field(default_factory=list[UUID])


class RunQueue:
    """The way into the runs table. `worker` is this process's, or None where only the API runs."""

    def __init__(
        self,
        pool: Pool,
        signals: Signals,
        worker: Worker | None,
        *,
        most_pending: int,
        most_of_user: int,
        webhooks: WebhookPolicy,
        draining: asyncio.Event,
    ) -> None:
        self._pool = pool
        self._signals = signals
        self._worker = worker
        self._most_pending = most_pending
        self.watch = ThreadWatch(signals)
        self._webhooks = webhooks
        self._quota = RunQuota(most_of_user)
        self._draining = draining
        self._with_thread = AcceptanceWithThread(pool, worker)

    async def accept(self, new: NewRun) -> Accepted:
        """Keeps a run, or answers with the one that its idempotency key already has.

        Raises LimitReached, QueueFull, UnknownThread, ThreadBusy, WrongGraph, NothingToAnswer, KeyReused, InvalidInput,
        Unavailable.
        """
        if self._draining.is_set():
            raise Unavailable("This process stops and takes no new run. Send this again.", retry_after=RETRY_SECONDS)
        if new.webhook:
            self._webhooks.check(new.webhook)
        with self._quota.accepting(new.caller, new.run_id) as room:
            accepted = await self._accept(replace(new, trace_context=current_traceparent(), room=room))
        note("resume" if new.request.is_resume else "run", f"{accepted.run.thread_id} {accepted.run.run_id}")
        return accepted

    async def _accept(self, new: NewRun) -> Accepted:
        may_share = new.create_thread and not new.after_seconds and not new.request.is_resume
        if may_share and new.idempotency_key is None:
            # Whoever is cancelled meanwhile leaves a run that is executed, and not one that waits for its lease's end.
            begun = await asyncio.shield(self._with_thread.accept(new))
            if begun:
                self._tell(new.thread_id, _Cancelled(), work=False)
                return Accepted(begun.run, ending=begun.ending)
        worker = self._worker if not new.after_seconds else None
        reserved = worker.reserve() if worker else None
        asked_at = asyncio.get_running_loop().time()
        acceptance = Acceptance(new, digest_of(new), reserved)
        claimed = False
        cancelled = _Cancelled()
        try:
            async with self._pool.connection() as connection:
                if known := await accepted_before(connection, new, acceptance.digest):
                    return Accepted(known, new=False)
                if reserved is None:
                    await self._refuse_overload(connection)
                try:
                    accepted = await self._insert(connection, acceptance, cancelled)
                except UniqueViolation:
                    # The same key at the same moment, in another process.
                    known = await accepted_before(connection, new, acceptance.digest)
                    if known is None:
                        raise
                    return Accepted(known, new=False)
            if not accepted.new:
                return accepted
            run = accepted.run
            claimed = run.status == "running"
        finally:
            if worker and reserved and not claimed:
                worker.free()
        ending = worker.begin(claim_of(run, new), asked_at) if claimed and worker else None
        self._tell(new.thread_id, cancelled, work=not claimed)
        return Accepted(run, ending=ending)

    async def accept_within(self, connection: Connection, new: NewRun) -> Callable[[], None]:
        """Keeps a run in the caller's transaction, unless its idempotency key has one; call the result after its end."""
        cancelled = _Cancelled()
        await self._refuse_overload(connection)
        with suppress(UniqueViolation), self._quota.accepting(new.caller, new.run_id) as room:
            async with connection.transaction():
                await self._insert(connection, Acceptance(replace(new, room=room)), cancelled)
        return lambda: self._tell(new.thread_id, cancelled, work=True)

    def _tell(self, thread_id: str, cancelled: _Cancelled, *, work: bool) -> None:
        if work:
            self._signals.publish(WORK)
        self.watch.changed(thread_id)
        if cancelled.run_ids:
            self._signals.publish(ATTENTION, *(changed(run_id) for run_id in cancelled.run_ids))

    async def cancel(self, caller: Caller, thread_id: str | None, run_id: UUID, action: CancelAction) -> None:
        """Ends a pending run at once; asks the worker of a running one. Raises UnknownRun, RunEnded."""
        async with self._pool.connection() as connection, connection.transaction():
            run = await runs.get(connection, caller, run_id)
            if run is None or (thread_id is not None and run.thread_id != thread_id):
                raise UnknownRun(f"run_id={run_id}: no such run.", field="run_id")
            thread = await threads.lock(connection, caller, run.thread_id)
            found = [other for other in await runs.unended(connection, run.thread_id) if other.run_id == run_id]
            if thread is None or not found:
                raise RunEnded(f"run_id={run_id}: the run has ended already.", field="run_id")
            await _stop(connection, found, action)
            if found[0].status == "pending" and not [
                other for other in await runs.unended(connection, run.thread_id) if other.run_id != run_id
            ]:
                status = "interrupted" if thread.interrupts else "idle"
                await threads.set_status(connection, run.thread_id, status, thread.interrupts)
        self._signals.publish(ATTENTION, WORK, changed(run_id))

    async def cancel_many(self, caller: Caller, wanted: RunSelection, action: CancelAction) -> int:
        """Ends those of them that have not ended meanwhile; how many it were."""
        async with self._pool.connection() as connection:
            on = None if wanted.thread_id is None else [wanted.thread_id]
            found = await runs.unended_where(connection, caller, on, wanted.run_ids, wanted.assistant_id, wanted.status)
        cancelled = 0
        for run_id in found:
            with suppress(RunEnded, UnknownRun):
                await self.cancel(caller, None, run_id, action)
                cancelled += 1
        return cancelled

    async def delete(self, caller: Caller, thread_id: str, run_id: UUID) -> None:
        """Forgets a run that has ended. Raises UnknownRun, RunNotEnded."""
        async with self._pool.connection() as connection:
            run = await runs.get(connection, caller, run_id)
            if run is None or run.thread_id != thread_id:
                raise UnknownRun(f"run_id={run_id}: no such run on thread {thread_id}.", field="run_id")
            if not run.ended:
                raise RunNotEnded(f"run_id={run_id}: the run has not ended. Cancel it first.", field="run_id")
            await runs.delete(connection, [run_id])

    async def statistics(self) -> dict[str, QueueStatistics]:
        """By priority, for all of them."""
        async with self._pool.connection() as connection:
            found = {row["priority"]: row for row in await runs.queue_statistics(connection)}
        return {
            priority: QueueStatistics(**{name: found[priority][name] for name in QueueStatistics.__dataclass_fields__})
            if priority in found
            else QueueStatistics()
            for priority in HANDICAP_SECONDS
        }

    async def _refuse_overload(self, connection: Connection) -> None:
        if await runs.pending_at_most(connection, self._most_pending) >= self._most_pending:
            raise QueueFull(
                f"{self._most_pending} runs are waiting already. Send this again later.",
                limit="queue",
                value=f"{self._most_pending} waiting runs",
                retry_after=RETRY_SECONDS,
            )

    async def _insert(self, connection: Connection, acceptance: Acceptance, cancelled: _Cancelled) -> Accepted:
        """The new run, or the one that was accepted with its key while this waited for the thread."""
        new = acceptance.new
        if new.create_thread:
            if new.request.is_resume:
                await refuse_answer_to_nothing(connection, new)
            else:
                (run,) = await run_acceptance.insert_with_threads(connection, [acceptance], LEASE_SECONDS)
                if run:
                    return Accepted(run)
        async with connection.transaction():
            thread = await threads.lock(connection, new.caller, new.thread_id)
            if thread is None:
                if new.create_thread and not await run_acceptance.has_room(connection, new):
                    raise self._quota.reached()
                raise UnknownThread(f"thread_id={new.thread_id!r}: no such thread.", field="thread_id")
            known = await accepted_before(connection, new, acceptance.digest)
            if known:  # before anything refuses the run, or stops it, as another one on its thread
                return Accepted(known, new=False)
            refuse_other_graph(thread, new)
            others = await runs.unended(connection, new.thread_id)
            if new.request.is_resume:
                refuse_second_answer(thread, others, new)
            if others and new.strategy == "reject":
                raise ThreadBusy(
                    "Another run is writing to this thread. Wait for its answer, or choose another multitask_strategy.",
                    field="multitask_strategy",
                    retry_after=RETRY_SECONDS,
                )
            if new.strategy in {"interrupt", "rollback"}:
                await _stop(connection, others, "rollback" if new.strategy == "rollback" else "interrupt")
                cancelled.run_ids += [run.run_id for run in others]
            await threads.make_busy(connection, new.thread_id, new.graph_id, new.thread_metadata)
            run = await run_acceptance.insert(
                connection, replace(acceptance, worker=None) if others else acceptance, LEASE_SECONDS
            )
            if run is None:
                raise self._quota.reached()
            return Accepted(run)


async def _stop(connection: Connection, others: Sequence[Run], action: CancelAction) -> None:
    pending = [run.run_id for run in others if run.status == "pending"]
    running = [run.run_id for run in others if run.status == "running"]
    # One that waits for a second attempt has checkpoints: only a worker can take them back.
    begun = [run.run_id for run in others if run.status == "pending" and run.fence]
    if action == "rollback":
        await runs.delete(connection, [run_id for run_id in pending if run_id not in begun])
        await runs.mark_for_rollback(connection, begun)
    else:
        await runs.cancel_pending(connection, pending)
    await runs.ask_to_cancel(connection, running, action)
