"""Graphs that speak token by token, ask questions and hold graphs in them, as a chat client meets them."""

import operator
from typing import Annotated

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from typing_extensions import TypedDict

ANSWER = "It is sunny today"


class Messages(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


class Manner(TypedDict, total=False):
    polite: bool


async def look_outside(state: Messages) -> None:
    write = get_stream_writer()
    write({"looking": "up"})
    write({"looking": "down"})


async def answer(state: Messages, runtime: Runtime[Manner]) -> Messages:
    text = ANSWER + (" sir" if (runtime.context or {}).get("polite") else "")
    model = GenericFakeChatModel(messages=iter([AIMessage(text)]))
    return {"messages": [await model.ainvoke(state["messages"])]}


talk = (
    StateGraph(Messages, context_schema=Manner)
    .add_node(look_outside)
    .add_node(answer)
    .add_edge(START, "look_outside")
    .add_edge("look_outside", "answer")
    .add_edge("answer", END)
    .compile()
)


class Answers(TypedDict, total=False):
    answers: Annotated[list[str], operator.add]


def prepare(state: Answers) -> Answers:
    return {"answers": ["prepared"]}


def ask_name(state: Answers) -> Answers:
    return {"answers": [f"name {interrupt('your name?')}"]}


def ask_age(state: Answers) -> Answers:
    return {"answers": [f"age {interrupt({'question': 'your age?'})}"]}


survey = (
    StateGraph(Answers)
    .add_node(prepare)
    .add_node(ask_name)
    .add_node(ask_age)
    .add_edge(START, "prepare")
    .add_edge("prepare", "ask_name")
    .add_edge("ask_name", "ask_age")
    .add_edge("ask_age", END)
    .compile()
)

pair = (
    StateGraph(Answers)
    .add_node(ask_name)
    .add_node(ask_age)
    .add_edge(START, "ask_name")
    .add_edge(START, "ask_age")
    .add_edge("ask_name", END)
    .add_edge("ask_age", END)
    .compile()
)

beside = (
    StateGraph(Answers)
    .add_node(prepare)
    .add_node(ask_name)
    .add_edge(START, "prepare")
    .add_edge(START, "ask_name")
    .add_edge("prepare", END)
    .add_edge("ask_name", END)
    .compile()
)

inner = (
    StateGraph(Answers)
    .add_node(prepare)
    .add_node(ask_name)
    .add_edge(START, "prepare")
    .add_edge("prepare", "ask_name")
    .add_edge("ask_name", END)
    .compile()
)


def finish(state: Answers) -> Answers:
    return {"answers": ["finished"]}


nested = (
    StateGraph(Answers)
    .add_node("inner", inner)
    .add_node(finish)
    .add_edge(START, "inner")
    .add_edge("inner", "finish")
    .add_edge("finish", END)
    .compile()
)
