"""A LangGraph project as somebody else would bring it; its steps can be watched and held by files."""

import asyncio
import operator
from contextlib import suppress
from typing import Annotated, TypedDict

from anyio import Path
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from pydantic import BaseModel


class State(TypedDict, total=False):
    steps: Annotated[list[str], operator.add]
    reached: str  # a file the middle step makes
    release: str  # a file the middle step waits for
    fail: bool
    deaf: bool  # the middle step swallows its first cancellation
    loop: bool


def first(state: State) -> State:
    return {"steps": ["first"]}


async def middle(state: State) -> State:
    if state.get("fail"):
        raise ValueError("the words of a user, which no log may show")
    if reached := state.get("reached"):
        await Path(reached).touch()
    if state.get("deaf"):
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
    while (release := state.get("release")) and not await Path(release).exists():  # noqa: ASYNC110  a file has no event
        await asyncio.sleep(0.02)
    return {"steps": ["middle"]}


def last(state: State) -> State:
    return {"steps": ["last"]}


def after(state: State) -> str:
    return "first" if state.get("loop") else END


graph = (
    StateGraph(State)
    .add_node(first)
    .add_node(middle)
    .add_node(last)
    .add_edge(START, "first")
    .add_edge("first", "middle")
    .add_edge("middle", "last")
    .add_conditional_edges("last", after, ["first", END])
)


class Order(BaseModel):
    number: int


class TypedState(TypedDict, total=False):
    order: Order
    note: str


def take_order(state: TypedState) -> TypedState:
    return {"order": Order(number=state["order"].number + 1 if "order" in state else 1)}


typed = StateGraph(TypedState).add_node(take_order).add_edge(START, "take_order").add_edge("take_order", END).compile()


class Question(TypedDict, total=False):
    topic: str


def ask(state: Question) -> Question:
    return {"topic": interrupt("which topic?")}


asking = StateGraph(Question).add_node(ask).add_edge(START, "ask").add_edge("ask", END).compile()


async def per_run(config: RunnableConfig) -> StateGraph[State]:
    thread_id = config.get("configurable", {})["thread_id"]

    def name_thread(state: State) -> State:
        return {"steps": [f"made for {thread_id}"]}

    return StateGraph(State).add_node(name_thread).add_edge(START, "name_thread").add_edge("name_thread", END)
