"""Many writers on one thread: each run adds lines that name it, in order."""

import asyncio
import operator
import random
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph

STEPS = 3


class State(TypedDict, total=False):
    lines: Annotated[list[str], operator.add]  # "name:0" is the input's, "name:1" and on are the steps'


async def add_line(state: State) -> State:
    await asyncio.sleep(random.uniform(0.001, 0.02))
    name, number = state.get("lines", [])[-1].split(":")
    return {"lines": [f"{name}:{int(number) + 1}"]}


def unfinished(state: State) -> str:
    return "add_line" if not state.get("lines", [])[-1].endswith(f":{STEPS}") else END


graph = StateGraph(State).add_node(add_line).add_edge(START, "add_line").add_conditional_edges("add_line", unfinished)
