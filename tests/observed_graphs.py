"""Graphs of a few nodes, for what is observed of them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict, cast

from langgraph.graph import END, START, StateGraph

from app.observability.graph_nodes import AnyGraph


class State(TypedDict, total=False):
    steps: Annotated[list[str], operator.add]
    fail: bool


def chain(*nodes: Callable[..., Any], **more: Any) -> StateGraph[State]:
    builder = StateGraph(State)
    names = [node.__name__ for node in nodes]
    for node in nodes:
        builder.add_node(node.__name__, node)
    for source, target in zip([START, *names], [*names, END], strict=True):
        builder.add_edge(source, target)
    return builder


def compiled(builder: StateGraph[State], **options: Any) -> AnyGraph:
    return cast("AnyGraph", builder.compile(**options))
