"""A graph that takes its process with it, every time."""

import os
import signal
from typing import TypedDict

from langgraph.graph import END, START, StateGraph


class State(TypedDict, total=False):
    text: str


def kill_the_process(state: State) -> State:
    os.kill(os.getpid(), signal.SIGKILL)
    return state


graph = (
    StateGraph(State).add_node(kill_the_process).add_edge(START, "kill_the_process").add_edge("kill_the_process", END)
)
