"""What the tests of checkpoints share: a graph with every kind of value and turn, and the rows it leaves."""

from __future__ import annotations

import operator
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any
from uuid import UUID, uuid4

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send, interrupt
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier
from pydantic import BaseModel
from typing_extensions import TypedDict

from app.runtime.checkpoints import PooledSaver
from app.runtime.database import Pool, create_pool
from app.runtime.graph_config import AnyGraph
from app.runtime.schema import migrate
from app.settings import Settings

TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")


@dataclass
class Person:
    name: str
    age: int


class Mood(Enum):
    GOOD = "good"


class Note(BaseModel):
    text: str


def extended(state: list[str], writes: Sequence[list[str]]) -> list[str]:
    return [*state, *(word for write in writes for word in write)]


class State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    text: str
    number: int
    ratio: float
    flag: bool
    nothing: str | None
    data: bytes
    buffer: bytearray
    person: Person
    mood: Mood
    note: Note
    parts: Annotated[list[str], operator.add]
    log: Annotated[list[str], DeltaChannel(extended, snapshot_frequency=3)]


class Part(TypedDict):
    word: str


def fill(state: State) -> State:
    return {
        "text": 'a "quoted" \\ é 漢 \U0001f600',
        "number": 2**62,
        "ratio": 1e-7,
        "flag": True,
        "nothing": None,
        "data": b"\0\xff",
        "buffer": bytearray(b"\1\2"),
        "person": Person("Ada", 36),
        "mood": Mood.GOOD,
        "note": Note(text="n"),
        "log": ["filled"],
    }


def spread(_: State) -> list[Send]:
    return [Send("work", Part(word=word)) for word in ("x", "y", "z")]


async def work(state: Part) -> State:
    return {"parts": [state["word"]], "log": [state["word"]]}


class Inner(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]


async def think(state: Inner) -> Inner:
    return {"messages": [AIMessage("Is it right?")]}


async def ask(state: Inner) -> Inner:
    answer = interrupt("Is it right?")
    return {"messages": [HumanMessage(interrupt("Are you sure?") if answer == DOUBT.resume else answer)]}


def end(state: State) -> State:
    return {"ratio": -0.0, "text": "", "log": ["ended"]}


def varied_graph(saver: PooledSaver | Any) -> AnyGraph:
    """Values of every kind, a fan-out, a subgraph that asks once or twice, and a step after the answer."""
    inner = StateGraph(Inner)
    inner.add_node("think", think)
    inner.add_node("ask", ask)
    inner.add_edge(START, "think")
    inner.add_edge("think", "ask")
    outer = StateGraph(State)
    outer.add_node("fill", fill)
    outer.add_node("work", work)
    outer.add_node("discuss", inner.compile())
    outer.add_node("end", end)
    outer.add_edge(START, "fill")
    outer.add_conditional_edges("fill", spread, ["work"])
    outer.add_edge("work", "discuss")
    outer.add_edge("discuss", "end")
    outer.add_edge("end", END)
    return outer.compile(checkpointer=saver)


QUESTION: dict[str, Any] = {"messages": [("user", "Hello")]}
ANSWER: Command[Any] = Command(resume="Yes")
DOUBT: Command[Any] = Command(resume="Perhaps")
"""Makes the same task ask once more."""


def thread(thread_id: str, **more: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": "", **more}}


@asynccontextmanager
async def opened(settings: Settings, **changes: object) -> AsyncGenerator[Pool]:
    """A pool on a migrated database."""
    assert settings.database_url
    url = settings.database_url.get_secret_value()
    await migrate(lambda: url)
    async with create_pool(settings.model_copy(update=changes)) as pool:
        yield pool


async def rows(
    connection: AsyncConnection[DictRow], table: str, thread_id: str | None = None, schema: str = "public"
) -> list[dict[str, Any]]:
    """A table as LangGraph knows it, values as PostgreSQL prints them."""
    query = SQL(
        "SELECT to_jsonb(found) - 'written_by' AS found FROM {} AS found"
        " WHERE thread_id = %(thread)s OR %(thread)s IS NULL ORDER BY 1"
    ).format(Identifier(schema, table))
    cursor = await connection.execute(query, {"thread": thread_id})
    return [row["found"] for row in await cursor.fetchall()]


async def all_rows(pool: Pool, thread_id: str | None = None, schema: str = "public") -> dict[str, list[dict[str, Any]]]:
    async with pool.connection() as connection:
        return {table: await rows(connection, table, thread_id, schema) for table in TABLES}


async def claimed_run(pool: Pool, fence: int = 1) -> UUID:
    """A run that some worker has claimed so many times."""
    run_id = uuid4()
    async with pool.connection() as connection:
        await connection.execute("INSERT INTO threads (thread_id) VALUES (%s)", (str(run_id),))
        await connection.execute(
            "INSERT INTO runs (run_id, thread_id, graph_id, assistant_id, status, request, strategy, rank, priority,"
            " fence, worker, lease_until)"
            " VALUES (%s, %s, 'g', 'g', 'running', '', 'enqueue', now(), 'normal', %s, %s, now() + interval '10 s')",
            (run_id, str(run_id), fence, uuid4()),
        )
    return run_id
