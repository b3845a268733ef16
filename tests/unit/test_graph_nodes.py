"""What is measured of a graph's nodes, and that measuring changes nothing about the graph."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
from langchain_core.runnables import AddableDict, RunnableConfig, RunnableGenerator, RunnableLambda
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.types import CachePolicy, Command, RetryPolicy, Send, interrupt

from app.observability.graph_nodes import AnyGraph, NodeObserver
from app.observability.metrics import Metrics
from tests.observed_graphs import State, chain, compiled

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def first(state: State) -> State:
    return {"steps": ["first"]}


async def second(state: State) -> State:
    get_stream_writer()("halfway")
    if state.get("fail"):
        raise ValueError("words of a user")
    return {"steps": ["second"]}


def ask(state: State) -> State:
    return {"steps": [interrupt("which?")]}


def nested() -> AnyGraph:
    builder = chain(first, ask)
    inner = compiled(builder)
    outer = StateGraph(State).add_node("inner", inner).add_node(second)
    outer.add_edge(START, "inner").add_edge("inner", "second").add_edge("second", END)
    return compiled(outer, checkpointer=InMemorySaver())


def fan_out() -> AnyGraph:
    builder = StateGraph(State).add_node(first).add_node(second)

    def to_all(_: State) -> list[Send]:
        return [Send("first", {}), Send("second", {}), Send("second", {})]

    builder.add_conditional_edges(START, to_all)
    return compiled(builder)


def piped() -> AnyGraph:
    """A node that is a sequence of runnables, as chains of prompt, model and parser are."""

    def then(state: State) -> State:
        return {"steps": [*state.get("steps", []), "piped"]}

    steps = RunnableLambda(first) | RunnableLambda(then)
    return compiled(StateGraph(State).add_node("pipe", steps).add_edge(START, "pipe").add_edge("pipe", END))


def count(metrics: Metrics, graph: str, node: str) -> float:
    labels = {"graph": graph, "node": node}
    return metrics.registry.get_sample_value("agent_node_duration_seconds_count", labels) or 0


def errors(metrics: Metrics, graph: str, node: str, kind: str) -> float:
    labels = {"graph": graph, "node": node, "type": kind}
    return metrics.registry.get_sample_value("agent_node_errors_total", labels) or 0


async def test_every_execution_of_a_node_is_timed_under_its_graph_and_name() -> None:
    metrics = Metrics()
    graph = NodeObserver(metrics).observed(compiled(chain(first, second)), "talk")
    await graph.ainvoke({"steps": []})
    await graph.ainvoke({"steps": []})
    assert count(metrics, "talk", "first") == count(metrics, "talk", "second") == 2
    assert errors(metrics, "talk", "second", "ValueError") == 0


async def test_a_failing_node_counts_its_exceptions_type_and_never_its_words() -> None:
    metrics = Metrics()
    graph = NodeObserver(metrics).observed(compiled(chain(first, second)), "talk")
    with pytest.raises(ValueError, match="words of a user"):
        await graph.ainvoke({"steps": [], "fail": True})
    assert errors(metrics, "talk", "second", "ValueError") == 1
    assert count(metrics, "talk", "second") == 1
    assert not any("words" in str(sample) for metric in metrics.registry.collect() for sample in metric.samples)


async def test_each_attempt_of_a_retried_node_counts() -> None:
    metrics = Metrics()
    attempts = iter([ConnectionError("away"), ConnectionError("away"), None])

    def shaky(state: State) -> State:
        if failure := next(attempts):
            raise failure
        return {"steps": ["shaky"]}

    retry = RetryPolicy(initial_interval=0.001, jitter=False)
    builder = StateGraph(State).add_node("shaky", shaky, retry_policy=retry)
    builder.add_edge(START, "shaky").add_edge("shaky", END)
    assert await NodeObserver(metrics).observed(compiled(builder), "g").ainvoke({"steps": []}) == {"steps": ["shaky"]}
    assert count(metrics, "g", "shaky") == 3
    assert errors(metrics, "g", "shaky", "ConnectionError") == 2


async def test_a_question_to_the_user_is_no_error() -> None:
    metrics = Metrics()
    graph = NodeObserver(metrics).observed(compiled(chain(ask), checkpointer=InMemorySaver()), "g")
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke({"steps": []}, config)
    assert await graph.ainvoke(Command(resume="this"), config) == {"steps": ["this"]}
    assert count(metrics, "g", "ask") == 2
    assert errors(metrics, "g", "ask", "GraphInterrupt") == 0


async def test_a_cancelled_node_is_no_error() -> None:
    metrics = Metrics()
    reached = asyncio.Event()

    async def wait(state: State) -> State:
        reached.set()
        await asyncio.sleep(60)
        return {}

    graph = NodeObserver(metrics).observed(compiled(chain(wait)), "g")
    run = asyncio.create_task(graph.ainvoke({"steps": []}))
    await reached.wait()
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert count(metrics, "g", "wait") == 1
    assert errors(metrics, "g", "wait", "CancelledError") == 0


async def test_nodes_of_a_subgraph_are_named_by_their_path() -> None:
    metrics = Metrics()
    graph = NodeObserver(metrics).observed(nested(), "g")
    await graph.ainvoke({"steps": []}, {"configurable": {"thread_id": "t"}})
    assert count(metrics, "g", "inner/first") == count(metrics, "g", "inner/ask") == count(metrics, "g", "inner") == 1


async def test_a_functional_graph_is_measured_as_its_entrypoint() -> None:
    @task
    async def double(number: int) -> int:
        return number * 2

    @entrypoint()
    async def work(number: int) -> int:
        return await double(number)

    metrics = Metrics()
    assert await NodeObserver(metrics).observed(cast("AnyGraph", work), "g").ainvoke(21) == 42
    assert count(metrics, "g", "work") == 1


@pytest.mark.parametrize("subgraphs", [False, True])
@pytest.mark.parametrize("make", [lambda: compiled(chain(first, second)), nested, fan_out, piped])
async def test_an_observed_graph_streams_what_the_graph_streams(make: Callable[[], AnyGraph], subgraphs: bool) -> None:
    async def streamed(graph: AnyGraph) -> list[Any]:
        config: RunnableConfig = {"configurable": {"thread_id": "t"}}
        modes: Any = ["values", "updates", "custom", "messages"]
        stream = graph.astream({"steps": []}, config, stream_mode=modes, subgraphs=subgraphs)
        parts = [cast("tuple[Any, ...]", part) async for part in stream]
        # Ids of tasks and interrupts differ from run to run.
        return [(part[-2], str(part[-1]).split("id=")[0]) for part in parts]

    plain, observed = make(), NodeObserver(Metrics()).observed(make(), "g")
    # Parallel nodes end in any order.
    assert sorted(await streamed(observed)) == sorted(await streamed(plain))


async def test_an_observed_graph_keeps_state_history_and_subgraph_state() -> None:
    graph = NodeObserver(Metrics()).observed(nested(), "g")
    config: RunnableConfig = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke({"steps": []}, config)
    state = await graph.aget_state(config, subgraphs=True)
    assert state.next == ("inner",)
    [waiting] = state.tasks
    assert cast("Any", waiting.state).values == {"steps": ["first"]}
    await graph.ainvoke(Command(resume="this"), config)
    await graph.aupdate_state(config, {"steps": ["mended"]}, as_node="second")
    after = await graph.aget_state(config)
    assert after.values["steps"][-3:] == ["this", "second", "mended"]
    assert len([snapshot async for snapshot in graph.aget_state_history(config)]) > 3


def in_pieces() -> AnyGraph:
    async def pieces(state: AsyncIterator[State]) -> AsyncIterator[dict[str, Any]]:
        yield AddableDict(steps=["one"])
        yield AddableDict(steps=["two"])

    builder = StateGraph(State).add_node("pieces", RunnableGenerator(pieces)).add_edge(START, "pieces")
    return compiled(builder)


@pytest.mark.parametrize(("make", "piece"), [(nested, "first"), (in_pieces, "pieces")])
async def test_an_observed_graph_reports_the_same_events(make: Callable[[], AnyGraph], piece: str) -> None:
    async def reported(graph: AnyGraph) -> list[tuple[str, str]]:
        events = graph.astream_events({"steps": []}, {"configurable": {"thread_id": "t"}}, version="v2")
        return [(event["event"], event["name"]) async for event in events]

    plain = await reported(make())
    assert ("on_chain_stream", piece) in plain
    assert await reported(NodeObserver(Metrics()).observed(make(), "g")) == plain


async def test_graphs_that_share_a_cache_do_not_share_results_of_different_functions() -> None:
    calls: list[str] = []

    def one(state: State) -> State:
        calls.append("one")
        return {"steps": ["one"]}

    def other(state: State) -> State:
        calls.append("other")
        return {"steps": ["other"]}

    cache: InMemoryCache[Any] = InMemoryCache()
    observer = NodeObserver(Metrics())

    def graph_of(function: Callable[..., State]) -> AnyGraph:
        builder = StateGraph(State).add_node("same", function, cache_policy=CachePolicy()).add_edge(START, "same")
        return observer.observed(compiled(builder, cache=cache), "g")

    first_graph, other_graph = graph_of(one), graph_of(other)
    for _ in range(2):
        assert await first_graph.ainvoke({"steps": []}) == {"steps": ["one"]}
        assert await other_graph.ainvoke({"steps": []}) == {"steps": ["other"]}
    assert calls == ["one", "other"]
    await first_graph.aclear_cache()
    await first_graph.ainvoke({"steps": []})
    await other_graph.ainvoke({"steps": []})
    assert calls == ["one", "other", "one"]


def test_a_graph_can_be_observed_without_an_event_loop() -> None:
    metrics = Metrics()
    graph = NodeObserver(metrics).observed(compiled(chain(first)), "g")
    assert graph.invoke({"steps": []}) == {"steps": ["first"]}
    assert list(graph.stream({"steps": []}, stream_mode="updates")) == [{"first": {"steps": ["first"]}}]
    assert count(metrics, "g", "first") == 2


def test_a_graph_is_copied_once_and_itself_left_alone() -> None:
    graph = compiled(chain(first))
    node = graph.nodes["first"]
    observer = NodeObserver(Metrics())
    assert observer.observed(graph, "g") is observer.observed(graph, "g")
    assert observer.observed(graph, "g") is not graph
    assert graph.nodes["first"] is node


def test_a_graph_made_for_one_run_is_not_kept() -> None:
    observer = NodeObserver(Metrics())

    def one_run() -> weakref.ref[AnyGraph]:
        graph = compiled(chain(first))
        observer.observed(graph, "g").invoke({"steps": []})
        return weakref.ref(graph)

    made = [one_run() for _ in range(3)]
    gc.collect()
    assert [reference() for reference in made] == [None, None, None]


async def test_nodes_named_by_a_factory_do_not_grow_the_labels_without_end() -> None:
    metrics = Metrics()
    observer = NodeObserver(metrics, most_nodes=2)
    for number in range(5):
        builder = StateGraph(State).add_node(f"n{number}", first).add_edge(START, f"n{number}")
        await observer.observed(compiled(builder), "g").ainvoke({"steps": []})
    assert count(metrics, "g", "n1") == 1
    assert count(metrics, "g", "n4") == 0
    assert count(metrics, "g", "other") == 3
