"""A thread as its checkpoints show it: state, history, and going back to an earlier point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.types import StateSnapshot

from app.runtime.checkpoints import PooledSaver
from app.runtime.graphs import Graphs
from app.runtime.problems import UnknownCheckpoint, UnknownThread, WrongGraph
from app.runtime.thread_leases import ThreadLeases

GRAPH_KEY = "graph_id"  # the ecosystem's name for it in a checkpoint's metadata


@dataclass(frozen=True)
class ThreadState:
    """One checkpoint of a thread."""

    thread_id: str
    graph: str
    checkpoint_id: str
    parent_checkpoint_id: str | None
    created_at: str | None
    step: int
    source: str
    next: tuple[str, ...]
    interrupts: tuple[Any, ...]
    values: Any


def thread_config(thread_id: str, checkpoint_id: str | None = None) -> RunnableConfig:
    configurable: dict[str, Any] = {"thread_id": thread_id}
    if checkpoint_id is not None:
        configurable["checkpoint_id"] = checkpoint_id
    return {"configurable": configurable}


class Threads:
    """Reads threads, and rolls them back under their lease."""

    def __init__(self, saver: PooledSaver, graphs: Graphs, leases: ThreadLeases) -> None:
        self._saver = saver
        self._graphs = graphs
        self._leases = leases

    async def graph_of(self, thread_id: str) -> str | None:
        """The graph that wrote the thread; None for a thread that does not exist."""
        found = await self._saver.aget_tuple(thread_config(thread_id))
        return cast("dict[str, str]", found.metadata).get(GRAPH_KEY, self._graphs.default) if found else None

    async def state(self, thread_id: str) -> ThreadState:
        name = await self._require_graph(thread_id)
        config = thread_config(thread_id)
        async with self._graphs.open(name, config, self._saver) as graph:
            return thread_state(thread_id, name, await graph.aget_state(config))

    async def history(self, thread_id: str, limit: int, before: str | None) -> list[ThreadState]:
        """Newest first, at most `limit`, all older than `before`."""
        name = await self._require_graph(thread_id)
        if before is not None:
            await self._require_checkpoint(thread_id, before, field="before")
        config = thread_config(thread_id)
        older_than = thread_config(thread_id, before) if before else None
        async with self._graphs.open(name, config, self._saver) as graph:
            return [
                thread_state(thread_id, name, snapshot)
                async for snapshot in graph.aget_state_history(config, limit=limit, before=older_than)
            ]

    async def roll_back(self, thread_id: str, checkpoint_id: str) -> ThreadState:
        """Makes an earlier checkpoint the newest one; the history keeps all that came after it."""
        name = await self._require_graph(thread_id)
        async with self._leases.hold(thread_id):
            await self._require_checkpoint(thread_id, checkpoint_id, field="checkpoint_id")
            config = thread_config(thread_id, checkpoint_id)
            config["metadata"] = {GRAPH_KEY: name}
            async with self._graphs.open(name, config, self._saver) as graph:
                head = await graph.aupdate_state(config, None, as_node="__copy__")
                return thread_state(thread_id, name, await graph.aget_state(head))

    async def require_same_graph(self, thread_id: str, wanted: str | None) -> str:
        """The graph a run on this thread uses; a thread stays with the graph that began it."""
        begun_by = await self.graph_of(thread_id)
        if begun_by and wanted and begun_by != wanted:
            raise WrongGraph(
                f"graph={wanted!r}: thread {thread_id} belongs to graph {begun_by!r}."
                " Leave graph out, or use another thread_id.",
                field="graph",
            )
        name = begun_by or wanted or self._graphs.default
        self._graphs.require(name)
        return name

    async def _require_graph(self, thread_id: str) -> str:
        name = await self.graph_of(thread_id)
        if name is None:
            raise UnknownThread(f"thread_id={thread_id!r}: no such thread.", field="thread_id")
        return name

    async def _require_checkpoint(self, thread_id: str, checkpoint_id: str, field: str) -> None:
        if await self._saver.aget_tuple(thread_config(thread_id, checkpoint_id)) is None:
            raise UnknownCheckpoint(
                f"{field}={checkpoint_id!r}: thread {thread_id} has no such checkpoint."
                " GET its history for those it has.",
                field=field,
            )


def thread_state(thread_id: str, graph: str, snapshot: StateSnapshot) -> ThreadState:
    metadata = cast("dict[str, Any]", snapshot.metadata or {})
    parent = cast("dict[str, Any]", snapshot.parent_config or {}).get("configurable", {})
    return ThreadState(
        thread_id=thread_id,
        graph=graph,
        checkpoint_id=cast("dict[str, Any]", snapshot.config)["configurable"]["checkpoint_id"],
        parent_checkpoint_id=parent.get("checkpoint_id"),
        created_at=snapshot.created_at,
        step=metadata.get("step", -1),
        source=metadata.get("source", ""),
        next=snapshot.next,
        interrupts=snapshot.interrupts,
        values=snapshot.values,
    )
