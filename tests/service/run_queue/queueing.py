"""Runs put into the queue and claimed from it by hand, without any graph."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, LiteralString
from uuid import UUID, uuid4

from app.runtime.database import Pool
from app.runtime.run import Claim, NewRun, Outcome, Run, RunRequest
from app.runtime.run_queue import RunQueue
from app.runtime.signals import Signals
from app.runtime.webhook_policy import WebhookPolicy
from app.runtime.worker import Worker
from app.security.caller import LAPTOP
from app.tables import run_claims, runs, threads

WORKER, OTHER = uuid4(), uuid4()


def make_queue(
    pool: Pool,
    signals: Signals,
    most_pending: int = 100,
    draining: asyncio.Event | None = None,
    worker: Worker | None = None,
) -> RunQueue:
    return RunQueue(
        pool,
        signals,
        worker=worker,
        most_pending=most_pending,
        most_of_user=3,
        webhooks=WebhookPolicy(),
        draining=draining or asyncio.Event(),
    )


def a_run(thread_id: str | None = None, **changes: object) -> NewRun:
    new = NewRun(
        caller=LAPTOP,
        run_id=uuid4(),
        thread_id=thread_id or str(uuid4()),
        graph_id="g",
        assistant_id="g",
        request=RunRequest(input={"messages": []}),
        create_thread=True,
    )
    return replace(new, **changes)


async def accepted(queue: RunQueue, thread_id: str | None = None, **changes: object) -> Run:
    return (await queue.accept(a_run(thread_id, **changes))).run


async def claim(pool: Pool, limit: int = 10, worker: UUID = WORKER, *, suspects: bool = False) -> list[Claim]:
    async with pool.connection() as connection:
        return await run_claims.claim(connection, worker, limit, lease_seconds=10, suspects=suspects)


async def execute(pool: Pool, statement: LiteralString) -> None:
    async with pool.connection() as connection:
        await connection.execute(statement)


async def rows(pool: Pool, query: LiteralString) -> list[dict[str, Any]]:
    async with pool.connection() as connection:
        return await (await connection.execute(query)).fetchall()


async def end(pool: Pool, held: Claim, outcome: Outcome | None = None) -> bool:
    async with pool.connection() as connection:
        (finished,) = await run_claims.finish(connection, [(held, outcome or Outcome("success"))])
    return finished is not None


async def status(pool: Pool, run_id: UUID) -> str:
    async with pool.connection() as connection:
        run = await runs.present(connection, run_id)
    return run.status if run else "gone"


async def thread_status(pool: Pool, thread_id: str) -> str:
    async with pool.connection() as connection:
        thread = await threads.get(connection, LAPTOP, thread_id)
    return thread.status if thread else "gone"
