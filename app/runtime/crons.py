"""Crons: runs that begin by themselves. Each time of a schedule gives one run, whatever dies or stands still meanwhile.

The run is accepted in the transaction that moves the cron on to its next time, while that holds the cron's row; so a
firing is whole or has not been. Times that passed while nothing ran are made up for by one run, at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from psycopg import OperationalError
from psycopg.errors import ForeignKeyViolation
from psycopg_pool import PoolTimeout

from app.observability.logs import frames
from app.observability.metrics import Metrics
from app.runtime.assistants import Assistants, thread_metadata, with_settings
from app.runtime.database import Pool
from app.runtime.problems import LimitReached, Problem, ThreadBusy, UnknownCron, UnknownGraph, UnknownThread
from app.runtime.run import TEMPORARY_THREAD_SECONDS, NewRun, RunRequest, Strategy
from app.runtime.run_queue import RunQueue
from app.runtime.schedules import next_time
from app.runtime.webhook_policy import WebhookPolicy
from app.security.caller import LAPTOP, Caller
from app.tables import crons, threads
from app.tables.crons import Connection, Cron, Due, Search

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
RETRY_SECONDS = 60  # for whoever has as many crons as a user may have: only the user makes room
LONGEST_WAIT_SECONDS = 300  # between two attempts to have a firing's run accepted
TIMING = ("schedule", "timezone", "end_time", "enabled")


@dataclass(frozen=True)
class NewCron:
    """A cron to make."""

    assistant_id: str
    thread_id: str | None
    schedule: str
    timezone: str | None
    end_time: datetime | None
    enabled: bool
    keep_threads: bool
    request: RunRequest
    webhook: str | None
    metadata: Mapping[str, Any]
    strategy: Strategy


class Crons:
    """What the API does with crons. Raises the problems of app/runtime/problems.py."""

    def __init__(self, pool: Pool, assistants: Assistants, webhooks: WebhookPolicy, most_of_user: int) -> None:
        self._pool = pool
        self._assistants = assistants
        self._webhooks = webhooks
        self._most_of_user = most_of_user

    async def create(self, caller: Caller, new: NewCron) -> Cron:
        assistant = await self._assistants.get(caller, new.assistant_id)
        if new.webhook:
            self._webhooks.check(new.webhook)
        async with self._pool.connection() as connection, connection.transaction():
            if new.thread_id is not None and await threads.get(connection, caller, new.thread_id) is None:
                raise _unknown_thread(new.thread_id)
            await self._refuse_more(connection, caller)
            now = await crons.now(connection)
            made = Cron(
                cron_id=uuid4(),
                **caller.owns,
                assistant_id=str(assistant.assistant_id),
                thread_id=new.thread_id,
                keep_threads=new.keep_threads,
                schedule=new.schedule,
                timezone=new.timezone,
                end_time=new.end_time,
                enabled=new.enabled,
                request=new.request.encoded(),
                webhook=new.webhook.encode() if new.webhook else None,
                metadata=dict(new.metadata),
                strategy=new.strategy,
                next_run_at=None,
                attempts=0,
                problem=None,
                created_at=now,
                updated_at=now,
            )
            made = replace(made, next_run_at=_next_run(made, now))
            try:
                await crons.insert(connection, made)
            except ForeignKeyViolation:  # deleted just now
                raise _unknown_thread(str(new.thread_id)) from None
            return made

    async def change(
        self,
        caller: Caller,
        cron_id: UUID,
        changes: Mapping[str, Any],
        request: Mapping[str, Any],
        webhook: str | None = None,
    ) -> Cron:
        """Changes fields of the cron, and of what it runs. A new time, or being enabled again, begins from now."""
        if webhook:
            self._webhooks.check(webhook)
            changes = {**changes, "webhook": webhook.encode()}
        async with self._pool.connection() as connection, connection.transaction():
            known = await crons.lock(connection, caller, cron_id)
            if known is None:
                raise _unknown(cron_id)
            now = await crons.now(connection)
            encoded = replace(RunRequest.decoded(bytes(known.request)), **request).encoded()
            changed = replace(known, **changes, request=encoded, updated_at=now)
            if any(getattr(changed, name) != getattr(known, name) for name in TIMING):
                changed = replace(changed, next_run_at=_next_run(changed, now), attempts=0)
            await crons.save(connection, changed)
            return changed

    async def delete(self, caller: Caller, cron_id: UUID) -> None:
        """Its runs stay."""
        async with self._pool.connection() as connection:
            if not await crons.delete(connection, caller, cron_id):
                raise _unknown(cron_id)

    async def search(self, caller: Caller, wanted: Search) -> list[Cron]:
        wanted = await self._by_id(caller, wanted)
        async with self._pool.connection() as connection:
            return await crons.search(connection, caller, wanted)

    async def count(self, caller: Caller, wanted: Search) -> int:
        wanted = await self._by_id(caller, wanted)
        async with self._pool.connection() as connection:
            return await crons.count(connection, caller, wanted)

    async def _refuse_more(self, connection: Connection, caller: Caller) -> None:
        """All crons fire one after the other, so nobody may have them without end."""
        if caller.owns == LAPTOP.owns:
            return
        await crons.hold_back_others(connection, caller)
        if await crons.count(connection, caller, Search()) >= self._most_of_user:
            raise LimitReached(
                f"You have {self._most_of_user} crons. Delete one.",
                limit="user_crons",
                value=f"{self._most_of_user} crons",
                retry_after=RETRY_SECONDS,
            )

    async def _by_id(self, caller: Caller, wanted: Search) -> Search:
        if wanted.assistant_id is None:
            return wanted
        assistant = await self._assistants.get(caller, wanted.assistant_id)
        return replace(wanted, assistant_id=str(assistant.assistant_id))


class Scheduler:
    """Every process with a worker has one; whoever locks a due cron fires it, the others pass it by."""

    def __init__(self, pool: Pool, queue: RunQueue, assistants: Assistants, metrics: Metrics) -> None:
        self._pool = pool
        self._queue = queue
        self._assistants = assistants
        self._metrics = metrics

    async def fire_forever(self) -> None:
        while True:
            try:
                while await self.fire_next():
                    pass
            except (OperationalError, PoolTimeout) as failure:
                log.warning("no cron fired", extra={"fields": {"error": type(failure).__name__}})
            await asyncio.sleep(LOOK_SECONDS)

    async def fire_next(self) -> bool:
        """One that is due; false when none is."""
        async with self._pool.connection() as connection, connection.transaction():
            due = await crons.take_due(connection)
            if due is None:
                return False
            now = await crons.now(connection)
            following = None
            try:
                cron = await crons.get_due(connection, due)
                fires_at = cron.next_run_at or now
                following = _next_run(cron, max(now, fires_at))
                tell = await self._queue.accept_within(connection, await self._run(cron, fires_at))
            except (OperationalError, PoolTimeout):
                raise
            except Exception as failure:
                await self._without_run(connection, due, now, following, failure)
                return True
            await crons.move_on(connection, due.cron_id, following, None)
        tell()
        self._metrics.cron_firings.labels("fired").inc()
        return True

    async def _without_run(
        self, connection: Connection, due: Due, now: datetime, following: datetime | None, failure: Exception
    ) -> None:
        """Tried again where time may help, until the schedule's next time takes its place."""
        again = now + timedelta(seconds=min(2**due.attempts, LONGEST_WAIT_SECONDS))
        tried_again = _may_pass(failure) and (following is None or again < following)
        outcome = "retried" if tried_again else "skipped"
        code = failure.code if isinstance(failure, Problem) else "internal"
        fields: dict[str, Any] = {"cron_id": str(due.cron_id), "outcome": outcome, "reason": code}
        if not isinstance(failure, Problem):
            fields |= {"error": type(failure).__name__, "frames": frames(failure.__traceback__)}
        log.warning("a cron has no run", extra={"fields": fields})
        self._metrics.cron_firings.labels(outcome).inc()
        message = failure.message if isinstance(failure, Problem) else "The service failed; its log has this cron's id."
        problem = {"error": code, "message": message, "at": now.isoformat()}
        if tried_again:
            await crons.try_again(connection, due.cron_id, again, problem)
        else:
            await crons.move_on(connection, due.cron_id, following, problem)

    async def _run(self, cron: Cron, fires_at: datetime) -> NewRun:
        caller = Caller(cron.tenant, cron.owner, frozenset({"run"}))
        assistant = await self._assistants.get(caller, cron.assistant_id)
        of_cron = {"cron_id": str(cron.cron_id), "scheduled_at": fires_at.isoformat()}
        own_thread = cron.thread_id is None
        return NewRun(
            caller=caller,
            run_id=uuid4(),
            thread_id=cron.thread_id or str(uuid4()),
            graph_id=assistant.graph_id,
            assistant_id=str(assistant.assistant_id),
            request=with_settings(assistant, RunRequest.decoded(bytes(cron.request))),
            metadata={**cron.metadata, **of_cron},
            thread_metadata=thread_metadata(assistant),
            strategy=cron.strategy,
            # Against a change that leads back to a time that had its run. No client can send a key with a tab.
            idempotency_key=f"cron\t{cron.cron_id}\t{fires_at.timestamp():.0f}",
            create_thread=own_thread,
            thread_ttl_seconds=TEMPORARY_THREAD_SECONDS if own_thread and not cron.keep_threads else None,
            webhook=bytes(cron.webhook).decode() if cron.webhook else None,
        )


def _next_run(cron: Cron, after: datetime) -> datetime | None:
    found = next_time(cron.schedule, cron.timezone, after)
    return None if found and cron.end_time and found > cron.end_time else found


def _may_pass(failure: Exception) -> bool:
    """A full queue empties, another process may know the graph; a busy thread was to be left alone."""
    if isinstance(failure, ThreadBusy):
        return False
    return not isinstance(failure, Problem) or failure.retry_after is not None or isinstance(failure, UnknownGraph)


def _unknown(cron_id: UUID) -> UnknownCron:
    return UnknownCron(f"cron_id={cron_id}: no such cron.", field="cron_id")


def _unknown_thread(thread_id: str) -> UnknownThread:
    return UnknownThread(f"thread_id={thread_id!r}: no such thread.", field="thread_id")
