"""LangGraph's PostgreSQL saver, with its pool really used and only safe types loaded."""

from __future__ import annotations

import asyncio

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from app.runtime.database import Pool

# A value that only these checkpoints refer to goes with them.
FORGET_RUN = """
    WITH forgotten AS (
        DELETE FROM checkpoints WHERE thread_id = %(thread)s AND metadata ->> 'run_id' = %(run)s
        RETURNING checkpoint_ns, checkpoint_id, checkpoint -> 'channel_versions' AS versions
    ), written AS (
        DELETE FROM checkpoint_writes USING forgotten
        WHERE checkpoint_writes.thread_id = %(thread)s AND checkpoint_writes.checkpoint_id = forgotten.checkpoint_id
    )
    DELETE FROM checkpoint_blobs AS blob USING forgotten
    WHERE blob.thread_id = %(thread)s AND blob.checkpoint_ns = forgotten.checkpoint_ns
        AND forgotten.versions ->> blob.channel = blob.version
        AND NOT EXISTS (
            SELECT FROM checkpoints AS kept
            WHERE kept.thread_id = %(thread)s AND kept.checkpoint_ns = blob.checkpoint_ns
                AND kept.checkpoint -> 'channel_versions' ->> blob.channel = blob.version
                AND kept.metadata ->> 'run_id' IS DISTINCT FROM %(run)s
        )
"""


class NoLock(asyncio.Lock):
    """A lock that never waits."""

    async def __aenter__(self) -> None:
        return

    async def __aexit__(self, *_: object) -> None:
        return


class PooledSaver(AsyncPostgresSaver):
    """The stock saver takes one lock around every statement, so its pool works like a single connection.

    langgraph#7259: 72 against 121 runs/s at one client. A pool hands each caller a connection of its own, so nothing
    is left to guard.
    """

    def __init__(self, pool: Pool) -> None:
        # msgpack can name any callable: only LangGraph's safe types and those of the graph's schema load.
        self._pool = pool
        super().__init__(pool, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
        self.lock = NoLock()

    async def forget_run(self, thread_id: str, run_id: str) -> None:
        """Takes back what a run stored: LangGraph keeps an input before it knows whether the graph can take it."""
        async with self._pool.connection() as connection:
            await connection.execute(FORGET_RUN, {"thread": thread_id, "run": run_id})
