"""Measures and traces the nodes of a graph, each around its own work.

LangChain's callbacks would do it too, but one handler costs a trivial run of four nodes 12 % (46 µs a node, langgraph
1.2.22, uvloop), and LangGraph's own hook (`node_finished`) knows neither start nor failure. This costs 2.5 %.
"""

from __future__ import annotations

import copy
from time import perf_counter
from types import TracebackType
from typing import Any, cast
from weakref import WeakKeyDictionary

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.pregel import Pregel
from opentelemetry import trace
from opentelemetry.context import attach, detach

from app.observability.labels import Bounded
from app.observability.llm_tokens import TokenCounter
from app.observability.metrics import Metrics
from app.observability.tracing import end_span, is_error, tracer

AnyGraph = Pregel[Any, Any, Any, Any]

# Different names of all graphs together: a graph made for each run could name its nodes as it likes, and one may let
# its clients choose the model.
MOST_NODES = 500
MOST_MODELS = 50


class NodeObserver:
    """Makes observed copies of graphs, one for each graph that lives on."""

    def __init__(self, metrics: Metrics, most_nodes: int = MOST_NODES, most_models: int = MOST_MODELS) -> None:
        self._metrics = metrics
        self._names = Bounded(most_nodes)
        self._models = Bounded(most_models)
        self._copies: WeakKeyDictionary[AnyGraph, AnyGraph] = WeakKeyDictionary()

    def observed(self, graph: AnyGraph, graph_id: str) -> AnyGraph:
        """The same graph, its nodes and those of its subgraphs under measurement."""
        made = self._copies.get(graph)
        if made is None:
            made = self._copies[graph] = self._copy(graph, graph_id, "")
        return made

    def _copy(self, graph: AnyGraph, graph_id: str, path: str) -> AnyGraph:
        made = copy.copy(graph)
        made.nodes = {
            name: node if name.startswith("__") else node.copy({"bound": self._node(node.bound, graph_id, path + name)})
            for name, node in graph.nodes.items()
        }
        return made

    def _node(self, bound: Runnable[Any, Any], graph_id: str, path: str) -> Runnable[Any, Any]:
        inner = self._copy(cast("AnyGraph", bound), graph_id, f"{path}/") if isinstance(bound, Pregel) else bound
        return ObservedNode(inner, graph_id, self._names(path), self._metrics, self._models)


class ObservedNode(Runnable[Any, Any]):
    """A node's function, model or subgraph. Its stream is its result: what writes to the channels needs it whole."""

    def __init__(self, bound: Runnable[Any, Any], graph_id: str, node: str, metrics: Metrics, models: Bounded) -> None:
        self.name = bound.get_name()
        self.bound = bound
        self.graph_id = graph_id
        self.node = node
        self.duration = metrics.node_duration.labels(graph_id, node)
        self.metrics = metrics
        self.models = models
        if function := getattr(bound, "func", None):
            # By these two LangGraph keeps the cached results of different functions apart.
            self.__module__ = getattr(function, "__module__", "")
            self.__qualname__ = getattr(function, "__qualname__", node)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002  Runnable's name
        with _Attempt(self, config):
            return self.bound.invoke(input, config, **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:  # noqa: A002  Runnable's name
        with _Attempt(self, config):
            return await self.bound.ainvoke(input, config, **kwargs)


class _Attempt:
    """One execution of a node. A class, because a generator would cost half of what there is to measure."""

    __slots__ = ("_node", "_span", "_started", "_token")

    def __init__(self, node: ObservedNode, config: RunnableConfig | None) -> None:
        self._node = node
        self._span = None
        callbacks = config.get("callbacks") if config else None
        # This manager was made for this execution alone; a node inside another has the counter from there.
        if isinstance(callbacks, BaseCallbackManager) and not any(
            isinstance(handler, TokenCounter) for handler in callbacks.handlers
        ):
            callbacks.add_handler(TokenCounter(node.metrics.llm_tokens, node.models))

    def __enter__(self) -> None:
        if active := tracer():
            attributes = {"agent.graph": self._node.graph_id, "agent.node": self._node.node}
            self._span = active.start_span(f"node {self._node.node}", attributes=attributes)
            self._token = attach(trace.set_span_in_context(self._span))
        self._started = perf_counter()

    def __exit__(self, _: type[BaseException] | None, failure: BaseException | None, __: TracebackType | None) -> None:
        node = self._node
        node.duration.observe(perf_counter() - self._started)
        if is_error(failure):
            node.metrics.node_errors.labels(node.graph_id, node.node, type(failure).__name__).inc()
        if self._span:
            detach(self._token)
            end_span(self._span, failure)
