"""The graph every server runs: four nodes, no model, about 2.8 kB of state at the end.

Peers load this file in an environment of their own: it may import nothing but LangGraph.
"""

from typing import Annotated, TypedDict

from langgraph.graph import START, StateGraph

STEPS = 4
NOTE = "x" * 680  # four of them make the 2.8 kB


def newest(old: list[str], new: list[str]) -> list[str]:
    """So a thread of many turns stays as large as one of a single turn."""
    return [*old, *new][-STEPS:]


class State(TypedDict, total=False):
    question: str
    notes: Annotated[list[str], newest]
    answer: str


async def work(state: State) -> State:
    return {"notes": [NOTE]}


async def answer(state: State) -> State:
    return {"notes": [NOTE], "answer": state.get("question", "")}


graph = StateGraph(State).add_sequence([("classify", work), ("look_up", work), ("draft", work), ("answer_it", answer)])
graph.add_edge(START, "classify")
