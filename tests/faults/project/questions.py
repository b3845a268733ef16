"""Graphs that ask, once and twice; and one whose two steps go side by side."""

import asyncio
import operator
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt


class Answers(TypedDict, total=False):
    answers: Annotated[list[str], operator.add]


def ask(state: Answers) -> Answers:
    return {"answers": [interrupt("which?")]}


def ask_twice(state: Answers) -> Answers:
    return {"answers": [interrupt("first?"), interrupt("second?")]}


async def ask_and_work(state: Answers) -> Answers:
    answer = interrupt("which?")
    await asyncio.sleep(3)
    return {"answers": [answer]}


asking = StateGraph(Answers).add_node(ask).add_edge(START, "ask").add_edge("ask", END)
asking_twice = StateGraph(Answers).add_node(ask_twice).add_edge(START, "ask_twice").add_edge("ask_twice", END)

asking_and_working = (
    StateGraph(Answers).add_node(ask_and_work).add_edge(START, "ask_and_work").add_edge("ask_and_work", END)
)


class Work(TypedDict, total=False):
    done: Annotated[list[str], operator.add]


def quick(state: Work) -> Work:
    return {"done": ["quick"]}


async def slow(state: Work) -> Work:
    await asyncio.sleep(3)
    return {"done": ["slow"]}


beside = (
    StateGraph(Work)
    .add_node(quick)
    .add_node(slow)
    .add_edge(START, "quick")
    .add_edge(START, "slow")
    .add_edge("quick", END)
    .add_edge("slow", END)
)
