"""The parts of a graph's stream as (namespace, mode, content), in whichever of LangGraph's three ways they come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph._internal._constants import (
    CONFIG_KEY_STREAM_MESSAGES_V2,  # no public name; Pregel.astream_events sets it
)
from langgraph.runtime import RunControl

from app.runtime.graph_config import AnyGraph
from app.runtime.run import RunRequest
from app.runtime.stream_parts import EVENTS, PROTOCOL_MODES, graph_modes

INTERRUPT = "__interrupt__"
Part = tuple[tuple[str, ...], str, Any]


def parts_of(
    graph: AnyGraph,
    given: Any,
    config: RunnableConfig,
    request: RunRequest,
    *,
    context: Any,
    control: RunControl,
    recorded: bool,
) -> AsyncGenerator[Part]:
    """Executes the graph. A run that is not recorded shows its values alone."""
    wanted = request.stream_modes if recorded else ()
    options: dict[str, Any] = {
        "context": context,
        "stream_mode": list(PROTOCOL_MODES) if request.protocol else graph_modes(wanted),
        "subgraphs": request.subgraphs or request.protocol,
        "interrupt_before": request.interrupt_before,
        "interrupt_after": request.interrupt_after,
        "durability": request.durability,
        "control": control,
    }
    if request.protocol:
        configurable = {**config.get("configurable", {}), CONFIG_KEY_STREAM_MESSAGES_V2: True}
        return _of_second_version(
            graph.astream(given, {**config, "configurable": configurable}, **options, version="v2")
        )
    if EVENTS in wanted:
        events = cast("AsyncIterator[Any]", graph.astream_events(given, config, **options))
        return _with_events(events, subgraphs=request.subgraphs)
    return _of_first_version(graph.astream(given, config, **options), subgraphs=request.subgraphs)


async def _of_first_version(stream: AsyncIterator[Any], *, subgraphs: bool) -> AsyncGenerator[Part]:
    async for chunk in stream:
        yield _part(chunk, subgraphs=subgraphs)


async def _of_second_version(stream: AsyncIterator[Any]) -> AsyncGenerator[Part]:
    """Which has questions beside the values, where the first has them among them."""
    async for chunk in stream:
        content = chunk["data"]
        if chunk.get("interrupts") and isinstance(content, dict):
            content = {**cast("dict[str, Any]", content), INTERRUPT: tuple(chunk["interrupts"])}
        yield tuple(chunk["ns"]), chunk["type"], content


async def _with_events(stream: AsyncIterator[Any], *, subgraphs: bool) -> AsyncGenerator[Part]:
    """LangChain's events, and what the graph streams taken out of those of the graph itself, which begins them."""
    graph_run = None
    async for event in stream:
        graph_run = graph_run or event["run_id"]
        if event["event"] == "on_chain_stream" and event["run_id"] == graph_run:
            yield _part(event["data"]["chunk"], subgraphs=subgraphs)
        else:
            yield (), EVENTS, event


def _part(chunk: Any, *, subgraphs: bool) -> Part:
    if subgraphs:
        return cast("Part", chunk)
    mode, content = cast("tuple[str, Any]", chunk)
    return (), mode, content
