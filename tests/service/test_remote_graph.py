"""LangGraph's own RemoteGraph, alone and as a node of another graph."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.pregel.remote import RemoteException, RemoteGraph
from langgraph.types import Command

from tests.service.projects.conversation.conversation import ANSWER, Answers
from tests.service.projects.stepwise.stepwise import State

pytestmark = pytest.mark.anyio

HELLO = {"messages": [{"role": "user", "content": "what is the weather like?"}]}
NOBODY: dict[str, Any] = {"answers": []}

Remote = Callable[[str], RemoteGraph]


@pytest.fixture
def remote(conversation_url: str) -> Remote:
    return lambda name: RemoteGraph(name, url=conversation_url, api_key="any")


def on_thread(thread_id: str | None = None) -> Any:
    return {"configurable": {"thread_id": thread_id or str(uuid4())}}


async def test_it_is_invoked_like_a_local_graph_with_and_without_a_thread(remote: Remote) -> None:
    talk = remote("talk")
    for config in (on_thread(), None):
        for values in (await talk.ainvoke(HELLO, config), await asyncio.to_thread(talk.invoke, HELLO, config)):
            assert values["messages"][-1]["content"] == ANSWER


async def test_a_thread_remembers_from_call_to_call(remote: Remote) -> None:
    talk, config = remote("talk"), on_thread()
    await talk.ainvoke(HELLO, config)
    values: Any = await talk.ainvoke(HELLO, config)
    assert [message["type"] for message in values["messages"]] == ["human", "ai", "human", "ai"]


async def test_it_streams_in_every_mode_of_a_local_graph(remote: Remote) -> None:
    talk = remote("talk")
    values = [part async for part in talk.astream(HELLO, on_thread(), stream_mode="values")]
    assert values[-1]["messages"][-1]["content"] == ANSWER
    updates = [part async for part in talk.astream(HELLO, on_thread())]
    assert [next(iter(part)) for part in updates] == ["look_outside", "answer"]
    custom = [part async for part in talk.astream(HELLO, on_thread(), stream_mode="custom")]
    assert custom == [{"looking": "up"}, {"looking": "down"}]
    tokens: list[Any] = [part async for part in talk.astream(HELLO, on_thread(), stream_mode="messages")]
    assert "".join(token["content"] for token, _ in tokens) == ANSWER
    parts: list[Any] = list(talk.stream(HELLO, on_thread(), stream_mode=["values", "custom"]))
    assert {part.event for part in parts} == {"values", "custom"}


async def test_subgraphs_stream_with_their_namespace(remote: Remote) -> None:
    nested = remote("nested")
    parts: Any = [part async for part in nested.astream(NOBODY, on_thread(), stream_mode="updates", subgraphs=True)]
    assert [namespace[0].split(":")[0] for namespace, part in parts if "prepare" in part] == ["inner"]
    flat = [part async for part in nested.astream(NOBODY, on_thread(), stream_mode="updates")]
    assert [list(part) for part in flat] == [["__interrupt__"]]


async def test_its_state_is_empty_before_the_first_run_and_whole_after_it(remote: Remote) -> None:
    talk, config = remote("talk"), on_thread()
    with pytest.raises(Exception, match="no such thread"):
        await talk.aget_state(config)
    made: Any = talk.client
    await made.threads.create(thread_id=config["configurable"]["thread_id"])
    assert (await talk.aget_state(config)).values == {}

    values = await talk.ainvoke(HELLO, config)
    for state in (await talk.aget_state(config), talk.get_state(config)):
        assert (state.values, state.next) == (values, ())
        assert state.metadata is not None
        assert state.parent_config is not None
    earlier: Any = state.parent_config
    assert (await talk.aget_state(earlier)).next == ("answer",)


async def test_its_history_is_read_whole_or_before_a_checkpoint(remote: Remote) -> None:
    talk, config = remote("talk"), on_thread()
    await talk.ainvoke(HELLO, config)
    history = [state async for state in talk.aget_state_history(config)]
    assert [state.next for state in history] == [(), ("answer",), ("look_outside",), ("__start__",)]
    older = [state async for state in talk.aget_state_history(config, before=history[1].config, limit=1)]
    assert older == [history[2]]
    inputs = list(talk.get_state_history(config, filter={"source": "input"}))
    assert inputs == history[-1:]


async def test_its_state_is_updated_and_forked(remote: Remote) -> None:
    survey, config = remote("survey"), on_thread()
    await survey.ainvoke(NOBODY, config)
    prepared = (await survey.aget_state(config)).config
    made = await survey.aupdate_state(config, {"answers": ["name by hand"]}, as_node="ask_name")
    now = await survey.aget_state(config)
    assert (now.config, now.next) == (made, ("ask_age",))
    survey.update_state(prepared, {"answers": ["other name"]}, as_node="ask_name")
    assert (await survey.aget_state(config)).values == {"answers": ["prepared", "other name"]}


async def test_a_question_is_answered_with_a_command(remote: Remote) -> None:
    survey, config = remote("survey"), on_thread()
    parts = [part async for part in survey.astream(NOBODY, config, stream_mode="updates")]
    [question] = parts[-1]["__interrupt__"]
    assert question["value"] == "your name?"
    state = await survey.aget_state(config)
    assert [interrupt.value for interrupt in state.interrupts] == ["your name?"]
    answer: Any = Command(resume={question["id"]: "Ada"})
    values: Any = await survey.ainvoke(answer, config)
    assert values["answers"] == ["prepared", "name Ada"]
    with pytest.raises(Exception, match="no question"):
        await survey.ainvoke(answer, config)


async def test_breakpoints_stop_it_and_no_input_goes_on(remote: Remote) -> None:
    steps, config = remote("steps"), on_thread()
    await steps.ainvoke({"steps": []}, config, interrupt_before=["middle"])
    assert (await steps.aget_state(config)).next == ("middle",)
    values: Any = await steps.ainvoke(None, config)
    assert values["steps"] == ["first", "middle", "last"]


async def test_a_failure_of_the_graph_is_raised_as_one_of_the_remote(remote: Remote) -> None:
    with pytest.raises(RemoteException, match="run_failed") as failed:
        await remote("steps").ainvoke({"fail": True}, on_thread())
    assert "words of a user" not in str(failed.value)
    with pytest.raises(Exception, match="Known: talk"):
        await remote("nobody").ainvoke(HELLO, on_thread())


async def test_its_drawing_is_the_graphs_own(remote: Remote) -> None:
    drawing = await remote("nested").aget_graph(xray=True)
    assert {"inner:prepare", "inner:ask_name", "finish"} <= set(drawing.nodes)
    plain = remote("nested").get_graph()
    assert [(edge.source, edge.target) for edge in plain.edges] == [
        ("__start__", "inner"),
        ("inner", "finish"),
        ("finish", "__end__"),
    ]
    assert "finish" in plain.draw_mermaid()


async def test_as_a_node_it_hands_its_result_and_its_stream_to_the_local_graph(remote: Remote) -> None:
    def before(state: State) -> State:
        return {"steps": ["local"]}

    parent: Any = StateGraph(State)
    parent.add_node(before).add_node("remote", remote("steps"))
    parent.add_edge(START, "before").add_edge("before", "remote").add_edge("remote", END)
    graph = parent.compile()
    values = await graph.ainvoke({"steps": []})
    assert values["steps"][-4:] == ["local", "first", "middle", "last"]
    parts = [part async for part in graph.astream({"steps": []}, stream_mode="updates", subgraphs=True)]
    inside = [next(iter(part)) for namespace, part in parts if namespace]
    assert inside == ["first", "middle", "last"]


async def test_a_question_of_a_remote_node_interrupts_the_local_graph(remote: Remote) -> None:
    parent: Any = StateGraph(Answers)
    parent.add_node("survey", remote("survey")).add_edge(START, "survey").add_edge("survey", END)
    graph = parent.compile(checkpointer=InMemorySaver())
    values = await graph.ainvoke(NOBODY, on_thread())
    assert [question.value for question in values["__interrupt__"]] == ["your name?"]


async def test_a_failure_of_a_remote_node_fails_the_local_graph(remote: Remote) -> None:
    parent: Any = StateGraph(State)
    parent.add_node("remote", remote("steps")).add_edge(START, "remote").add_edge("remote", END)
    with pytest.raises(RemoteException, match="run_failed"):
        await parent.compile().ainvoke({"fail": True})
