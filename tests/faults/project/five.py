"""Five steps; each waits, and as its last act writes a row where the service cannot take it back."""

import asyncio
import operator
import os
from functools import partial
from typing import Annotated, Any, TypedDict
from uuid import uuid4

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from psycopg_pool import AsyncConnectionPool

STEPS = range(1, 6)

# Not the service's database: it stays when that one goes.
pool: AsyncConnectionPool[Any] = AsyncConnectionPool(os.environ["EFFECTS_URL"], min_size=0, max_size=4, open=False)
opening = asyncio.Lock()


class State(TypedDict, total=False):
    said: Annotated[list[str], operator.add]
    steps: Annotated[list[str], operator.add]  # "number:token" of each execution that was kept
    pause: float


async def step(state: State, config: RunnableConfig, *, number: int) -> State:
    async with opening:
        await pool.open()
    await asyncio.sleep(state.get("pause", 0.5))
    token = uuid4().hex
    row = (config.get("metadata", {})["run_id"], number, token, os.getpid())
    async with pool.connection() as connection:
        await connection.execute("INSERT INTO effects (run_id, step, token, process) VALUES (%s, %s, %s, %s)", row)
    return {"steps": [f"{number}:{token}"]}


graph = StateGraph(State)
for number in STEPS:
    graph.add_node(f"step_{number}", partial(step, number=number))
    graph.add_edge(f"step_{number - 1}" if number > 1 else START, f"step_{number}")
graph.add_edge(f"step_{STEPS[-1]}", END)
