"""The graphs this process serves, each bound to our checkpoints and given its context."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid5

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.store.base import BaseStore

from app.models.engine import Engine, ServiceContext
from app.observability.graph_nodes import NodeObserver
from app.runtime.graph_config import AnyGraph, GraphSource
from app.runtime.problems import UnknownGraph

# LangGraph's servers derive the id of a graph's own assistant so, and clients may know it (langgraph-api, graph.py).
ASSISTANTS = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")


@functools.cache
def assistant_of(graph: str) -> UUID:
    return uuid5(ASSISTANTS, graph)


class Graphs:
    """Looks graphs up by name; the first of the file is the default."""

    def __init__(self, sources: Mapping[str, GraphSource], engine: Engine, observer: NodeObserver) -> None:
        self._sources = sources
        self._observer = observer
        self._engine = engine
        self.default = next(iter(sources))

    @property
    def names(self) -> list[str]:
        return list(self._sources)

    def serves(self, name: str) -> bool:
        return name in self._sources

    def require(self, name: str) -> None:
        if not self.serves(name):
            raise UnknownGraph(f"graph={name!r}: not served here. Known: {', '.join(self._sources)}.", field="graph")

    @asynccontextmanager
    async def open(
        self, name: str, config: RunnableConfig, saver: BaseCheckpointSaver[str], store: BaseStore | None = None
    ) -> AsyncGenerator[AnyGraph]:
        """The graph with our saver, whichever it was compiled with; and with a user's store, to run it."""
        self.require(name)
        async with self._sources[name].open(config) as graph:
            # Pregel.copy() drops the allowlist of the graph's own types, so a plain copy it is.
            bound = copy.copy(self._observer.observed(graph, name))
            bound.checkpointer = saver
            if store:
                bound.store = store
            yield bound

    def context(self, graph: AnyGraph, asked: dict[str, Any] | None) -> Any:
        """What the client sent; for a graph whose context asks for it, with our engine."""
        schema = graph.context_schema
        if isinstance(schema, type) and issubclass(schema, ServiceContext) and dataclasses.is_dataclass(schema):
            return schema(**{**(asked or {}), "engine": self._engine})
        return asked
