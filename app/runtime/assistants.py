"""Assistants: what clients call a graph they run. Every graph of langgraph.json has one; people make more of them."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast
from uuid import UUID

from langchain_core.runnables import RunnableConfig

from app.observability.logs import frames
from app.runtime.checkpoints import PooledSaver
from app.runtime.database import Pool
from app.runtime.graph_config import AnyGraph
from app.runtime.graph_schemas import Describable, Schemas, schemas_of
from app.runtime.graphs import Graphs, assistant_of
from app.runtime.problems import AssistantExists, InvalidInput, SystemAssistant, UnknownGraph, UnknownVersion
from app.runtime.run import RunRequest
from app.runtime.threads import GRAPH_KEY
from app.security.caller import Caller
from app.tables import assistants
from app.tables.assistants import Assistant, AssistantSearch, Content

log = logging.getLogger(__name__)

# Clients tell the assistants that a server makes for its graphs from those that people made by it (langgraph-api).
MADE_BY_SYSTEM = {"created_by": "system"}

Subgraphs = AsyncIterator[tuple[str, Describable]]


class Assistants:
    """Looks assistants up and describes their graphs."""

    def __init__(self, pool: Pool, graphs: Graphs, saver: PooledSaver, config_file: Path) -> None:
        self._pool = pool
        self._graphs = graphs
        self._saver = saver
        # The same in every process of an image, and newer after a change: the file declares them.
        declared_at = datetime.fromtimestamp(config_file.stat().st_mtime, UTC)
        self._system = [_system(graph_id, declared_at) for graph_id in graphs.names]
        self._by_name = {name: one for one in self._system for name in (one.graph_id, str(one.assistant_id))}

    async def get(self, caller: Caller, assistant_id: str) -> Assistant:
        """By id, or by the graph's name. Raises UnknownGraph."""
        if found := self._by_name.get(assistant_id):
            return found
        own_id = _as_uuid(assistant_id)
        if own_id is not None:
            async with self._pool.connection() as connection:
                found = await assistants.get(connection, caller, own_id)
        if not found:
            raise self._unknown(assistant_id)
        return found

    async def create(
        self, caller: Caller, assistant_id: UUID, content: Content, if_exists: Literal["raise", "do_nothing"]
    ) -> Assistant:
        self._graphs.require(content.graph_id)
        self._refuse_system(str(assistant_id))
        async with self._pool.connection() as connection:
            created = await assistants.create(connection, caller, assistant_id, content)
            known = created or await assistants.get(connection, caller, assistant_id)
        if known is None or (created is None and if_exists == "raise"):
            raise AssistantExists(f"assistant_id={assistant_id}: exists. Use if_exists=do_nothing, or another id.")
        return known

    async def change(self, caller: Caller, assistant_id: str, changes: Mapping[str, Any]) -> Assistant:
        """Adds a version with these changes. Metadata grows key by key; all else is replaced."""
        self._refuse_system(assistant_id)
        if "graph_id" in changes:
            self._graphs.require(changes["graph_id"])
        own_id = self._own_id(assistant_id)
        async with self._pool.connection() as connection, connection.transaction():
            before = await assistants.get(connection, caller, own_id, lock=True)
            if before is None:
                raise self._unknown(assistant_id)
            metadata = {**before.metadata, **changes.get("metadata", {})}
            content = replace(before.content, **{**changes, "metadata": metadata})
            await assistants.add_version(connection, own_id, content)
            return await assistants.get(connection, caller, own_id) or before

    async def set_latest(self, caller: Caller, assistant_id: str, version: int) -> Assistant:
        """Makes a version the present one again."""
        self._refuse_system(assistant_id)
        async with self._pool.connection() as connection:
            found = await assistants.set_version(connection, caller, self._own_id(assistant_id), version)
        assistant = await self.get(caller, assistant_id)
        if not found:
            raise UnknownVersion(
                f"version={version}: assistant {assistant_id} has no such version. Ask for its versions first.",
                field="version",
            )
        return assistant

    async def versions(
        self, caller: Caller, assistant_id: str, metadata: Mapping[str, Any], limit: int, offset: int
    ) -> list[dict[str, Any]]:
        """Newest first. What langgraph.json declares has one."""
        if system := self._by_name.get(assistant_id):
            one = asdict(system)
            del one["updated_at"]
            return [one] if not offset and metadata.items() <= system.metadata.items() else []
        await self.get(caller, assistant_id)
        async with self._pool.connection() as connection:
            own_id = self._own_id(assistant_id)
            return await assistants.versions(connection, caller, own_id, metadata, limit, offset)

    async def delete(self, caller: Caller, assistant_id: str) -> None:
        """With its versions; runs and threads that it made stay."""
        self._refuse_system(assistant_id)
        async with self._pool.connection() as connection:
            if not await assistants.delete(connection, caller, self._own_id(assistant_id)):
                raise self._unknown(assistant_id)

    async def search(self, caller: Caller, wanted: AssistantSearch) -> list[Assistant]:
        """In the order of langgraph.json, then newest first, unless asked for another."""
        if wanted.graph_id is not None:
            self._graphs.require(wanted.graph_id)
        async with self._pool.connection() as connection:
            return await assistants.search(connection, caller, self._system, wanted)

    async def count(self, caller: Caller, wanted: AssistantSearch) -> int:
        async with self._pool.connection() as connection:
            return await assistants.count(connection, caller, self._system, wanted)

    def _own_id(self, assistant_id: str) -> UUID:
        own_id = _as_uuid(assistant_id)
        if own_id is None:
            raise self._unknown(assistant_id)
        return own_id

    def _unknown(self, assistant_id: str) -> UnknownGraph:
        return UnknownGraph(
            f"assistant_id={assistant_id!r}: not served here. Known: {', '.join(self._graphs.names)}.",
            field="assistant_id",
        )

    def _refuse_system(self, assistant_id: str) -> None:
        if assistant_id in self._by_name:
            raise SystemAssistant(
                f"assistant_id={assistant_id!r}: is declared by langgraph.json and the same for everybody."
                " Create an assistant of its graph, and change that one.",
                field="assistant_id",
            )

    async def drawing(self, assistant: Assistant, xray: int | bool) -> dict[str, Any]:
        """The graph's nodes and edges, with those of its subgraphs to the depth of `xray`."""
        async with self._opened(assistant) as graph:
            drawing = (await graph.aget_graph(xray=xray)).to_json()
        for node in drawing["nodes"]:
            if isinstance(data := node.get("data"), dict):
                data.pop("id", None)  # LangChain's import path of the class behind the node
        return drawing

    async def schemas(self, assistant: Assistant) -> Schemas:
        async with self._opened(assistant) as graph:
            return schemas_of(graph)

    async def subgraphs(self, assistant: Assistant, namespace: str | None, *, recurse: bool) -> dict[str, Schemas]:
        """By namespace; a nested one needs `recurse`."""
        async with self._opened(assistant) as graph:
            subgraphs = cast("Subgraphs", graph.aget_subgraphs(namespace=namespace, recurse=recurse))
            return {name: schemas_of(subgraph) async for name, subgraph in subgraphs}

    @asynccontextmanager
    async def _opened(self, assistant: Assistant) -> AsyncGenerator[AnyGraph]:
        """The graph outside any run, which a factory may not be able to make."""
        outside = RunnableConfig(configurable=dict(assistant.config.get("configurable", {})))
        try:
            async with self._graphs.open(assistant.graph_id, outside, self._saver) as graph:
                yield graph
        except UnknownGraph:
            raise
        except Exception as failure:
            fields = {
                "graph": assistant.graph_id,
                "error": type(failure).__name__,
                "frames": frames(failure.__traceback__),
            }
            log.warning("a graph cannot be described", extra={"fields": fields})
            raise InvalidInput(
                f"assistant_id={str(assistant.assistant_id)!r}: graph {assistant.graph_id!r} cannot be described outside"
                f" a run ({type(failure).__name__}). Run it instead.",
                field="assistant_id",
            ) from failure


def thread_metadata(assistant: Assistant) -> dict[str, str]:
    """What a thread's metadata says of it: browser clients find their threads by either."""
    return {GRAPH_KEY: assistant.graph_id, "assistant_id": str(assistant.assistant_id)}


def with_settings(assistant: Assistant, request: RunRequest) -> RunRequest:
    """The assistant's config and context under what a run asks for, key by key."""
    if assistant.config:
        configurable = {**assistant.config.get("configurable", {}), **request.config.get("configurable", {})}
        config = {**assistant.config, **request.config, "configurable": configurable}
        request = replace(request, config=config)
    if assistant.context:
        request = replace(request, context={**assistant.context, **(request.context or {})})
    return request


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _system(graph_id: str, declared_at: datetime) -> Assistant:
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
