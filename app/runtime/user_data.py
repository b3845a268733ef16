"""What an administrator does with everything of one user: end it, hand it out, erase it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any
from uuid import UUID

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple

from app.runtime.checkpoints import PooledSaver
from app.runtime.database import Pool
from app.runtime.run_queue import RunQueue, RunSelection
from app.runtime.threads import Threads
from app.security.audit import Audit
from app.security.caller import Caller
from app.tables import audit as audit_table
from app.tables import crons, user_rows

BATCH = 100


class UserData:
    """The users are named as callers: nothing here asks who the administrator is."""

    def __init__(self, pool: Pool, saver: PooledSaver, threads: Threads, queue: RunQueue, audit: Audit) -> None:
        self._pool = pool
        self._saver = saver
        self._threads = threads
        self._queue = queue
        self._audit = audit

    async def subject(self, user: Caller) -> UUID | None:
        """Who it is in the audit log; nobody that has done nothing is made known by being asked for."""
        async with self._pool.connection() as connection:
            return await audit_table.known_subject(connection, user)

    async def end(self, user: Caller, thread_ids: Sequence[str] | None, *, erase: bool) -> tuple[int, int]:
        """Ends the runs of threads, all of them for None, and erases them if asked; how many runs and threads.

        Their crons go first: one that fired later would begin what was ended.
        """
        async with self._pool.connection() as connection:
            await crons.disable(connection, user, thread_ids)
        ended = 0
        for thread_id in [None] if thread_ids is None else thread_ids:
            ended += await self._queue.cancel_many(user, RunSelection(thread_id=thread_id), "interrupt")
        if not erase:
            return ended, 0
        if thread_ids is None:
            async with self._pool.connection() as connection:
                thread_ids = await user_rows.thread_ids(connection, user)
        batches = [thread_ids[start : start + BATCH] for start in range(0, len(thread_ids), BATCH)]
        return ended, sum([await self._threads.delete_many(user, batch) for batch in batches])

    async def rows(self, user: Caller) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
        """Every row that is the user's, with its table."""
        async with self._pool.connection() as connection:
            for place in await user_rows.places(connection):
                async for row in user_rows.rows(connection, user, place):
                    yield place.table, row

    async def states(self, thread_id: str) -> AsyncGenerator[CheckpointTuple]:
        """All that are kept of a thread, of its subgraphs too, newest first; the thread's graph need not be served."""
        before = None
        while True:
            config: RunnableConfig = {"configurable": {"thread_id": thread_id}}
            found = [each async for each in self._saver.alist(config, before=before, limit=BATCH)]
            for each in found:
                yield each
            if len(found) < BATCH:
                return
            before = found[-1].config

    async def erase(self, user: Caller) -> dict[str, int]:
        """By table, how many rows went. What the user did stays on record, as done by nobody who can be named."""
        _, threads = await self.end(user, None, erase=True)
        async with self._pool.connection() as connection, connection.transaction():
            # With their checkpoints, which name no user: a request may have made one meanwhile.
            late = await self._threads.delete_within(connection, user, await user_rows.thread_ids(connection, user))
            places = [
                place for place in await user_rows.places(connection) if not place.parent and place.table != "threads"
            ]
            gone = {place.table: await user_rows.delete(connection, user, place) for place in places}
        self._audit.forget(user)
        return {**gone, "threads": threads + len(late)}
