"""What models inside nodes cost is counted, once, under labels that cannot grow without end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableLambda
from langgraph.graph import END, START, StateGraph

from app.observability.graph_nodes import AnyGraph, NodeObserver
from app.observability.metrics import Metrics
from tests.observed_graphs import State, chain, compiled

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def tokens(metrics: Metrics, direction: str, model: str = "parrot-1") -> float:
    labels = {"provider": "parrots", "model": model, "direction": direction}
    return metrics.registry.get_sample_value("agent_llm_tokens_total", labels) or 0


class Parrot(GenericFakeChatModel):
    """A model that says what it is given, and what that cost."""

    model: str = "parrot-1"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {"ls_provider": "parrots", "ls_model_name": self.model, "ls_model_type": "chat"}


def parrot(*costs: tuple[int, int], model: str = "parrot-1") -> Parrot:
    def answers() -> Iterator[AIMessage]:
        for sent, received in costs:
            yield AIMessage(
                "Umlaufbahn",
                usage_metadata=UsageMetadata(input_tokens=sent, output_tokens=received, total_tokens=sent + received),
            )

    return Parrot(messages=answers(), model=model)


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_tokens_of_a_model_inside_a_node_are_counted_once(asynchronous: bool) -> None:
    metrics = Metrics()
    model = parrot((7, 2), (5, 1))

    def call(state: State) -> State:
        model.invoke("x")
        model.invoke("y")
        return {}

    async def acall(state: State) -> State:
        await model.ainvoke("x")
        await model.ainvoke("y")
        return {}

    graph = NodeObserver(metrics).observed(compiled(chain(acall if asynchronous else call)), "g")
    await graph.ainvoke({"steps": []})
    assert tokens(metrics, "input") == 12
    assert tokens(metrics, "output") == 3


async def test_tokens_of_a_model_in_a_subgraph_or_chain_are_counted_once() -> None:
    metrics = Metrics()
    model = parrot((7, 2), (5, 1))

    async def deep(state: State) -> State:
        await (RunnableLambda(lambda _: "x") | model).ainvoke({})
        return {}

    async def calls_a_graph(state: State) -> State:
        await compiled(chain(deep)).ainvoke({"steps": []})
        return {}

    builder = StateGraph(State).add_node("inner", compiled(chain(deep))).add_node(calls_a_graph)
    builder.add_edge(START, "inner").add_edge("inner", "calls_a_graph").add_edge("calls_a_graph", END)
    await NodeObserver(metrics).observed(compiled(builder), "g").ainvoke({"steps": []})
    assert tokens(metrics, "input") == 12
    assert tokens(metrics, "output") == 3


async def test_tokens_of_a_streamed_answer_are_counted() -> None:
    metrics = Metrics()
    usage = UsageMetadata(input_tokens=7, output_tokens=2, total_tokens=9)

    class Streaming(Parrot):
        async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
            yield ChatGenerationChunk(message=AIMessageChunk(content="Umlauf"))
            yield ChatGenerationChunk(message=AIMessageChunk(content="bahn", usage_metadata=usage))

    async def speak(state: State) -> State:
        async for _ in Streaming(messages=iter([])).astream("x"):
            pass
        return {}

    graph = NodeObserver(metrics).observed(compiled(chain(speak)), "g")
    said = [part async for part in graph.astream({"steps": []}, stream_mode="messages")]
    assert len(said) >= 2
    assert (tokens(metrics, "input"), tokens(metrics, "output")) == (7, 2)


async def test_models_that_clients_name_do_not_grow_the_labels_without_end() -> None:
    metrics = Metrics()
    observer = NodeObserver(metrics, most_models=2)

    def graph_of(model: str) -> AnyGraph:
        chosen = parrot((1, 1), model=model)

        async def call(state: State) -> State:
            await chosen.ainvoke("x")
            return {}

        return observer.observed(compiled(chain(call)), "g")

    for number in range(5):
        await graph_of(f"model-{number}").ainvoke({"steps": []})
    assert tokens(metrics, "input", "model-1") == 1
    assert tokens(metrics, "input", "model-4") == 0
    assert tokens(metrics, "input", "other") == 3
