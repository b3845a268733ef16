"""The saver uses its whole pool, and loads no type a checkpoint merely names."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from pydantic import BaseModel

from app.runtime.checkpoints import PooledSaver
from app.runtime.database import create_pool
from app.runtime.schema import migrate
from app.settings import Settings

pytestmark = pytest.mark.anyio


async def test_readers_do_not_wait_for_each_other(settings: Settings, database_url: str) -> None:
    await migrate(lambda: database_url)
    async with create_pool(settings.model_copy(update={"pool_max_size": 4})) as pool:
        saver = PooledSaver(pool)
        together = asyncio.Barrier(4)

        async def hold_a_cursor() -> None:
            async with saver._cursor():  # pyright: ignore[reportPrivateUsage]  the very place the stock saver locks
                await together.wait()

        async with asyncio.timeout(10):
            await asyncio.gather(*(hold_a_cursor() for _ in range(4)))


class Foreign(BaseModel):
    """Any class that could be imported here and is of no graph's schema."""

    word: str


async def test_a_checkpoint_that_names_a_foreign_class_makes_no_instance_of_it(
    settings: Settings, database_url: str
) -> None:
    planted = Foreign(word="x")
    trusting = JsonPlusSerializer(allowed_msgpack_modules=True)
    assert trusting.loads_typed(trusting.dumps_typed(planted)) == planted

    await migrate(lambda: database_url)
    async with create_pool(settings) as pool:
        saver = PooledSaver(pool)
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"] = {"planted": planted}
        checkpoint["channel_versions"] = {"planted": "1"}
        thread: RunnableConfig = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
        await saver.aput(thread, checkpoint, {}, {"planted": "1"})
        found = await saver.aget_tuple(thread)
    assert found
    assert found.checkpoint["channel_values"]["planted"] == {"word": "x"}
