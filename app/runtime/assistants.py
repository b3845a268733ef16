"""Assistants: what clients call a graph they run. Every graph of langgraph.json has one, under its own name."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast
from uuid import UUID

from langchain_core.runnables import RunnableConfig

from app.observability.logs import frames
from app.runtime.checkpoints import PooledSaver
from app.runtime.graph_config import AnyGraph
from app.runtime.graph_schemas import Describable, Schemas, schemas_of
from app.runtime.graphs import Graphs, assistant_of
from app.runtime.problems import InvalidInput
from app.runtime.threads import GRAPH_KEY

log = logging.getLogger(__name__)

# Clients tell the assistants that a server makes for its graphs from those that people made by it (langgraph-api).
MADE_BY_SYSTEM = {"created_by": "system"}

Subgraphs = AsyncIterator[tuple[str, Describable]]
SortKey = Literal["assistant_id", "graph_id", "name", "created_at", "updated_at"]


@dataclass(frozen=True)
class Assistant:
    """A graph under a name, as clients see it."""

    assistant_id: UUID
    graph_id: str
    name: str
    description: str | None
    config: Mapping[str, Any]
    context: Mapping[str, Any]
    metadata: Mapping[str, Any]
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def thread_metadata(self) -> dict[str, str]:
        """What a thread's metadata says of it: browser clients find their threads by either."""
        return {GRAPH_KEY: self.graph_id, "assistant_id": str(self.assistant_id)}


@dataclass(frozen=True)
class AssistantSearch:
    """Which assistants, in which order. An empty condition is none; `name` may be a part of it."""

    graph_id: str | None = None
    name: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    sort_by: SortKey | None = None
    descending: bool = False


class Assistants:
    """Looks assistants up and describes their graphs."""

    def __init__(self, graphs: Graphs, saver: PooledSaver, config_file: Path) -> None:
        self._graphs = graphs
        self._saver = saver
        # The same in every process of an image, and newer after a change: the file declares them.
        declared_at = datetime.fromtimestamp(config_file.stat().st_mtime, UTC)
        self._all = [_own(graph_id, declared_at) for graph_id in graphs.names]

    def get(self, assistant_id: str) -> Assistant:
        """By id or by the graph's name. Raises UnknownGraph."""
        graph_id = self._graphs.of_assistant(assistant_id)
        return next(assistant for assistant in self._all if assistant.graph_id == graph_id)

    def search(self, wanted: AssistantSearch) -> list[Assistant]:
        """All that match; in the order of langgraph.json unless asked for another."""
        if wanted.graph_id is not None:
            self._graphs.require(wanted.graph_id)
        found = [assistant for assistant in self._all if _matches(assistant, wanted)]
        if wanted.sort_by is None:
            return found[::-1] if wanted.descending else found
        key = wanted.sort_by
        return sorted(found, key=lambda assistant: getattr(assistant, key), reverse=wanted.descending)

    async def drawing(self, assistant_id: str, xray: int | bool) -> dict[str, Any]:
        """The graph's nodes and edges, with those of its subgraphs to the depth of `xray`."""
        async with self._opened(assistant_id) as graph:
            drawing = (await graph.aget_graph(xray=xray)).to_json()
        for node in drawing["nodes"]:
            if isinstance(data := node.get("data"), dict):
                data.pop("id", None)  # LangChain's import path of the class behind the node
        return drawing

    async def schemas(self, assistant_id: str) -> Schemas:
        async with self._opened(assistant_id) as graph:
            return schemas_of(graph)

    async def subgraphs(self, assistant_id: str, namespace: str | None, *, recurse: bool) -> dict[str, Schemas]:
        """By namespace; a nested one needs `recurse`."""
        async with self._opened(assistant_id) as graph:
            subgraphs = cast("Subgraphs", graph.aget_subgraphs(namespace=namespace, recurse=recurse))
            return {name: schemas_of(subgraph) async for name, subgraph in subgraphs}

    @asynccontextmanager
    async def _opened(self, assistant_id: str) -> AsyncGenerator[AnyGraph]:
        """The graph outside any run, which a factory may not be able to make."""
        graph_id = self._graphs.of_assistant(assistant_id)
        outside = RunnableConfig(configurable={})
        try:
            async with self._graphs.open(graph_id, outside, self._saver) as graph:
                yield graph
        except Exception as failure:
            fields = {"graph": graph_id, "error": type(failure).__name__, "frames": frames(failure.__traceback__)}
            log.warning("a graph cannot be described", extra={"fields": fields})
            raise InvalidInput(
                f"assistant_id={assistant_id!r}: graph {graph_id!r} cannot be described outside a run"
                f" ({type(failure).__name__}). Run it instead.",
                field="assistant_id",
            ) from failure


def _own(graph_id: str, declared_at: datetime) -> Assistant:
    return Assistant(
        assistant_id=assistant_of(graph_id),
        graph_id=graph_id,
        name=graph_id,
        description=None,
        config={},
        context={},
        metadata=MADE_BY_SYSTEM,
        version=1,
        created_at=declared_at,
        updated_at=declared_at,
    )


def _matches(assistant: Assistant, wanted: AssistantSearch) -> bool:
    return (
        wanted.graph_id in {None, assistant.graph_id}
        and (wanted.name or "").lower() in assistant.name.lower()
        and all(assistant.metadata.get(key) == value for key, value in wanted.metadata.items())
    )
