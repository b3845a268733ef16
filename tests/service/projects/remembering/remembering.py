"""A graph whose nodes keep and find memories, and an embedder that knows three subjects."""

from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from typing_extensions import TypedDict

SUBJECTS = (("cat", "dog", "pet"), ("rain", "sun", "weather"), ("bread", "soup", "food"))


def embed(texts: list[str]) -> list[list[float]]:
    return [[0.01 + sum(word in text for word in words) for words in SUBJECTS] for text in texts]


class Memory(TypedDict, total=False):
    text: str
    question: str
    found: list[str]
    known: list[Any]


async def keep(state: Memory, runtime: Runtime[None]) -> Memory:
    assert runtime.store
    if text := state.get("text"):
        await runtime.store.aput(("memories",), text, {"text": text})
    return {}


def recall(state: Memory, runtime: Runtime[None]) -> Memory:
    """A plain function, which LangGraph calls in a thread."""
    assert runtime.store
    found = runtime.store.search(("memories",), query=state.get("question"))
    return {"found": [item.key for item in found], "known": [list(name) for name in runtime.store.list_namespaces()]}


graph = (
    StateGraph(Memory)
    .add_node(keep)
    .add_node(recall)
    .add_edge(START, "keep")
    .add_edge("keep", "recall")
    .add_edge("recall", END)
    .compile()
)
