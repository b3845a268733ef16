"""What tutorials deploy: a FastAPI handler around `ainvoke` with LangGraph's own saver. It keeps no record of its runs."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Literal, cast

import orjson
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel

from app.bench.workload import graph

POOL = 20


class Execute(BaseModel):
    thread_id: str
    input: dict[str, Any]
    durability: Literal["sync", "async", "exit"]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    url = os.environ["DATABASE_URL"]
    async with AsyncConnectionPool(url, min_size=POOL, max_size=POOL, kwargs=options, open=False) as pool:
        saver = AsyncPostgresSaver(cast("Any", pool))
        await saver.setup()
        app.state.graph = graph.compile(checkpointer=saver)
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/workflow/execute")
async def execute(body: Execute) -> dict[str, Any]:
    return {"result": await app.state.graph.ainvoke(body.input, _config(body), durability=body.durability)}


@app.post("/workflow/stream")
async def stream(body: Execute) -> StreamingResponse:
    async def events() -> AsyncGenerator[bytes]:
        config, durability = _config(body), body.durability
        async for values in app.state.graph.astream(body.input, config, stream_mode="values", durability=durability):
            yield b"event: values\ndata: %s\n\n" % orjson.dumps(values)

    return StreamingResponse(events(), media_type="text/event-stream")


def _config(body: Execute) -> RunnableConfig:
    return {"configurable": {"thread_id": body.thread_id}}
