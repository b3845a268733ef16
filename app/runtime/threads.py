"""Threads: their rows, their state, and every change of it that is no run. A change holds the thread's lock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Literal

import orjson
from langchain_core.runnables import RunnableConfig
from langgraph.types import StateSnapshot, StateUpdate
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from app.runtime.checkpoints import PooledSaver
from app.runtime.database import Pool
from app.runtime.graph_config import AnyGraph
from app.runtime.graphs import Graphs
from app.runtime.problems import (
    InvalidInput,
    NoGraph,
    ThreadBusy,
    ThreadExists,
    UnknownCheckpoint,
    UnknownThread,
)
from app.runtime.signals import Signals
from app.runtime.stream_parts import contains, to_json
from app.runtime.topics import ATTENTION, changed, thread_changed
from app.security.audit import note
from app.security.caller import Caller
from app.tables import runs, threads, webhooks
from app.tables.threads import Connection, Search, Thread

GRAPH_KEY = "graph_id"  # the ecosystem's name for it in a checkpoint's metadata
RETRY_SECONDS = 2
MOST_READ = 1_000  # states for one search
DELETED_AT_ONCE = 100  # in one transaction, with all that hangs on them
READS_AT_ONCE = 4  # for one search: a page of 1,000 threads must leave connections to others


def thread_config(thread_id: str, checkpoint: Mapping[str, Any] | None = None) -> RunnableConfig:
    """LangGraph's address of a thread, or of one of its checkpoints."""
    return {"configurable": {"checkpoint_ns": "", **(checkpoint or {}), "thread_id": thread_id}}


class Threads:
    """What the API does with threads. Raises the problems of app/runtime/problems.py."""

    def __init__(self, pool: Pool, saver: PooledSaver, graphs: Graphs, signals: Signals, most_changes: int) -> None:
        self._pool = pool
        self._saver = saver
        self._graphs = graphs
        self._signals = signals
        # A change holds one connection and needs others: without a bound they could wait for each other for ever.
        self._changes = asyncio.Semaphore(max(1, most_changes))

    async def create(
        self,
        caller: Caller,
        thread_id: str,
        metadata: Mapping[str, Any],
        *,
        graph_id: str | None = None,
        ttl_seconds: int | None = None,
        if_exists: Literal["raise", "do_nothing"] = "raise",
        supersteps: Sequence[Sequence[StateUpdate]] = (),
    ) -> Thread:
        """With the state that `supersteps` make, when it is new."""
        if graph_id is not None:
            self._graphs.require(graph_id)
        async with self._pool.connection() as connection:
            created = await threads.create(connection, caller, thread_id, graph_id, metadata, ttl_seconds)
            known = created or await threads.get(connection, caller, thread_id)
        if known is None or (created is None and if_exists == "raise"):
            raise ThreadExists(f"thread_id={thread_id!r}: exists. Use if_exists=do_nothing, or another id.")
        note(object=known.thread_id)
        if created and supersteps:
            try:
                await self.update_state(caller, thread_id, supersteps)
            except Exception:
                await self.delete_many(caller, [thread_id])
                raise
            return await self.get(caller, thread_id)
        return known

    async def get(self, caller: Caller, thread_id: str) -> Thread:
        async with self._pool.connection() as connection:
            return _known(await threads.get(connection, caller, thread_id), thread_id)

    async def change(
        self, caller: Caller, thread_id: str, metadata: Mapping[str, Any], ttl_seconds: int | None
    ) -> Thread:
        async with self._pool.connection() as connection:
            return _known(await threads.change(connection, caller, thread_id, metadata, ttl_seconds), thread_id)

    async def search(self, caller: Caller, wanted: Search) -> list[Thread]:
        async with self._pool.connection() as connection:
            return await threads.search(connection, caller, wanted)

    async def count(self, caller: Caller, wanted: Search) -> int:
        async with self._pool.connection() as connection:
            return await threads.count(connection, caller, wanted)

    async def with_values(self, caller: Caller, wanted: Search, values: Mapping[str, Any]) -> list[Thread]:
        """A search by the state as well, which is stored encoded: every thread that else matches is read."""
        async with self._pool.connection() as connection:
            found = await threads.search(connection, caller, replace(wanted, limit=MOST_READ + 1, offset=0))
        if len(found) > MOST_READ:
            raise InvalidInput(
                f"values: more than {MOST_READ} threads match without it, too many to read the states of."
                " Say metadata, status or ids as well.",
                field="values",
            )
        states = await self.states(found)
        matching = [
            thread
            for thread in found
            if thread.thread_id in states and contains(orjson.loads(to_json(states[thread.thread_id].values)), values)
        ]
        return matching[wanted.offset : wanted.offset + wanted.limit]

    async def delete(self, caller: Caller, thread_id: str) -> None:
        if not await self.delete_many(caller, [thread_id]):
            raise UnknownThread(f"thread_id={thread_id!r}: no such thread.", field="thread_id")

    async def delete_many(self, caller: Caller, thread_ids: Sequence[str]) -> int:
        """Erases threads, their runs, events and checkpoints; how many. A run in progress loses its claim and stops."""
        async with self._pool.connection() as connection, connection.transaction():
            running = await runs.unended_where(connection, caller, thread_ids)
            deleted = await self.delete_within(connection, caller, thread_ids)
        self._signals.publish(ATTENTION, *(changed(run_id) for run_id in running))
        return len(deleted)

    async def delete_within(self, connection: Connection, caller: Caller, thread_ids: Sequence[str]) -> list[str]:
        """Those that were erased in the caller's transaction. Their runs stop when they next renew their claim."""
        deleted = await threads.delete(connection, caller, thread_ids)
        await self._saver.delete_threads(connection, deleted)
        await webhooks.delete_of_threads(connection, deleted)
        return deleted

    async def delete_of_assistant(self, caller: Caller, assistant_id: str) -> int:
        async with self._pool.connection() as connection:
            found = await threads.of_assistant(connection, caller, assistant_id)
        batches = [found[start : start + DELETED_AT_ONCE] for start in range(0, len(found), DELETED_AT_ONCE)]
        return sum([await self.delete_many(caller, batch) for batch in batches])

    async def prune(self, caller: Caller, thread_ids: Sequence[str]) -> int:
        """Keeps the newest state alone of those that no run works on; how many it were."""
        async with self._pool.connection() as connection:
            quiet = await threads.quiet(connection, caller, thread_ids)
        await self._saver.aprune(quiet, strategy="keep_latest")
        return len(quiet)

    async def copy(self, caller: Caller, thread_id: str, new_id: str) -> Thread:
        """A new thread with the same history."""
        async with self._pool.connection() as connection, connection.transaction():
            _known(await threads.lock(connection, caller, thread_id), thread_id)
            copied = _known(await threads.copy(connection, caller, thread_id, new_id), thread_id)
            await self._saver.copy_within(connection, thread_id, new_id)
            return copied

    async def state(
        self, caller: Caller, thread_id: str, checkpoint: Mapping[str, Any] | None = None, *, subgraphs: bool = False
    ) -> StateSnapshot:
        """The thread as it is now, or was at a checkpoint. Empty before its first run."""
        thread = await self.get(caller, thread_id)
        config = thread_config(thread_id, checkpoint)
        async with self._open(thread) as graph:
            snapshot = await graph.aget_state(config, subgraphs=subgraphs)
            if checkpoint and checkpoint.get("checkpoint_id"):
                _refuse_unknown_checkpoint(snapshot, thread_id, checkpoint["checkpoint_id"])
            return snapshot

    async def states(self, found: Sequence[Thread]) -> dict[str, StateSnapshot]:
        """The states of several threads; those of a graph that is not served here any more are left out."""
        served = [thread for thread in found if thread.graph_id and self._graphs.serves(thread.graph_id)]
        few = asyncio.Semaphore(READS_AT_ONCE)
        snapshots = await asyncio.gather(*(self._state_of(thread, few) for thread in served))
        return {thread.thread_id: snapshot for thread, snapshot in zip(served, snapshots, strict=True)}

    async def _state_of(self, thread: Thread, few: asyncio.Semaphore) -> StateSnapshot:
        async with few, self._open(thread) as graph:
            return await graph.aget_state(thread_config(thread.thread_id))

    async def require_checkpoint(self, caller: Caller, thread_id: str, checkpoint: Mapping[str, Any]) -> None:
        """LangGraph would begin from nothing at a checkpoint that it does not find."""
        await self.get(caller, thread_id)
        await self._require_checkpoint(thread_id, checkpoint)

    async def _require_checkpoint(self, thread_id: str, checkpoint: Mapping[str, Any]) -> None:
        if await self._saver.aget_tuple(thread_config(thread_id, checkpoint)) is None:
            raise _unknown_checkpoint("checkpoint_id", checkpoint.get("checkpoint_id"), thread_id)

    async def history(
        self,
        caller: Caller,
        thread_id: str,
        limit: int,
        before: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        checkpoint: Mapping[str, Any] | None = None,
    ) -> list[StateSnapshot]:
        """Newest first, at most `limit`, all older than the checkpoint `before`."""
        thread = await self.get(caller, thread_id)
        if thread.graph_id is None:
            return []
        if before is not None:
            await self._require_checkpoint(thread_id, before)
        async with self._open(thread) as graph:
            found = graph.aget_state_history(
                thread_config(thread_id, checkpoint),
                filter=dict(metadata) if metadata else None,
                before=thread_config(thread_id, before) if before else None,
                limit=limit,
            )
            return [snapshot async for snapshot in found]

    async def update_state(
        self,
        caller: Caller,
        thread_id: str,
        supersteps: Sequence[Sequence[StateUpdate]],
        *,
        checkpoint: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Writes values as if nodes had returned them, step by step; from an older checkpoint this begins a branch.

        Returns the configurable of the new checkpoint. Raises ThreadBusy while a run writes.
        """
        async with self._alone(caller, thread_id) as (thread, connection), self._open(thread) as graph:
            if thread.graph_id is None:
                raise NoGraph(f"thread_id={thread_id!r}: has no graph yet. Run one on it first.", field="thread_id")
            config = thread_config(thread_id, checkpoint)
            config["metadata"] = {GRAPH_KEY: thread.graph_id}
            if checkpoint and checkpoint.get("checkpoint_id"):
                snapshot = await graph.aget_state(config)
                _refuse_unknown_checkpoint(snapshot, thread_id, checkpoint["checkpoint_id"])
            try:
                head = await graph.abulk_update_state(config, supersteps)
            except (OperationalError, PoolTimeout):
                raise
            except Exception as failure:
                # LangGraph's refusals, and whatever the graph's reducers and conditions raise.
                raise InvalidInput(
                    f"values: graph {thread.graph_id!r} cannot take them ({type(failure).__name__})."
                    " Name the node they come from with as_node, and send what that node may return.",
                    field="values",
                ) from failure
            now = await graph.aget_state(thread_config(thread_id))
            status = "interrupted" if now.next else "idle"
            await threads.set_status(connection, thread_id, status, [item.id for item in now.interrupts])
        self._signals.publish(thread_changed(thread_id))
        return dict(head.get("configurable", {}))

    async def roll_back(self, caller: Caller, thread_id: str, checkpoint_id: str) -> StateSnapshot:
        """Makes an earlier checkpoint the newest one; the history keeps all that came after it."""
        # __copy__ is LangGraph's own name for a fork that changes nothing.
        unchanged = [[StateUpdate(None, "__copy__")]]
        await self.update_state(caller, thread_id, unchanged, checkpoint={"checkpoint_id": checkpoint_id})
        return await self.state(caller, thread_id)

    async def graph_for(self, caller: Caller, thread_id: str | None, wanted: str | None) -> str:
        """The graph of a run: the thread's own, else the one asked for, else the first of langgraph.json."""
        begun_by = None
        if thread_id is not None and wanted is None:
            async with self._pool.connection() as connection:
                thread = await threads.get(connection, caller, thread_id)
            begun_by = thread.graph_id if thread else None
        name = begun_by or wanted or self._graphs.default
        self._graphs.require(name)
        return name

    @asynccontextmanager
    async def _open(self, thread: Thread) -> AsyncGenerator[AnyGraph]:
        name = thread.graph_id or self._graphs.default
        async with self._graphs.open(name, thread_config(thread.thread_id), self._saver) as graph:
            yield graph

    @asynccontextmanager
    async def _alone(self, caller: Caller, thread_id: str) -> AsyncGenerator[tuple[Thread, Connection]]:
        """The thread while nothing claims it, and the connection that holds its lock."""
        async with self._changes, self._pool.connection() as connection, connection.transaction():
            thread = _known(await threads.lock(connection, caller, thread_id), thread_id)
            if any(run.status == "running" for run in await runs.unended(connection, thread_id)):
                raise ThreadBusy(
                    "A run is writing to this thread. Wait for its end and send this request again.",
                    field="thread_id",
                    retry_after=RETRY_SECONDS,
                )
            yield thread, connection


def _known(thread: Thread | None, thread_id: str) -> Thread:
    if thread is None:
        raise UnknownThread(f"thread_id={thread_id!r}: no such thread.", field="thread_id")
    return thread


def _refuse_unknown_checkpoint(snapshot: StateSnapshot, thread_id: str, checkpoint_id: str) -> None:
    if snapshot.created_at is None:
        raise _unknown_checkpoint("checkpoint_id", checkpoint_id, thread_id)


def _unknown_checkpoint(field: str, checkpoint_id: object, thread_id: str) -> UnknownCheckpoint:
    return UnknownCheckpoint(
        f"{field}={checkpoint_id!r}: thread {thread_id} has no such checkpoint. GET its history for those it has.",
        field=field,
    )
