"""The graphs this process serves, each bound to our checkpoints and given its context."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver

from app.models.engine import Engine, ServiceContext
from app.runtime.graph_config import AnyGraph, GraphSource
from app.runtime.problems import UnknownGraph


class Graphs:
    """Looks graphs up by name; the first of the file is the default."""

    def __init__(self, sources: Mapping[str, GraphSource], engine: Engine) -> None:
        self._sources = sources
        self._engine = engine
        self.default = next(iter(sources))

    @property
    def names(self) -> list[str]:
        return list(self._sources)

    def require(self, name: str) -> None:
        if name not in self._sources:
            raise UnknownGraph(f"graph={name!r}: not served here. Known: {', '.join(self._sources)}.", field="graph")

    @asynccontextmanager
    async def open(
        self, name: str, config: RunnableConfig, saver: BaseCheckpointSaver[str]
    ) -> AsyncGenerator[AnyGraph]:
        """The graph with our saver, whichever it was compiled with."""
        self.require(name)
        async with self._sources[name].open(config) as graph:
            # Pregel.copy() drops the allowlist of the graph's own types, so a plain copy it is.
            bound = copy.copy(graph)
            bound.checkpointer = saver
            yield bound

    def context(self, graph: AnyGraph) -> Any:
        """Our engine for a graph whose context asks for it; None for any other."""
        schema = graph.context_schema
        if isinstance(schema, type) and issubclass(schema, ServiceContext) and dataclasses.is_dataclass(schema):
            return schema(engine=self._engine)
        return None
