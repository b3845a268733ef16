"""The saver uses its whole pool, and loads no type a checkpoint merely names."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

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


class Harmless:
    """Stands for any class an attacker would like to see called."""

    called = False

    def __init__(self, _: object) -> None:
        Harmless.called = True


async def test_a_checkpoint_that_names_a_foreign_class_does_not_call_it(settings: Settings, database_url: str) -> None:
    await migrate(lambda: database_url)
    async with create_pool(settings) as pool:
        saver = PooledSaver(pool)
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"] = {"planted": {Path("x")}}
        checkpoint["channel_versions"] = {"planted": "1"}
        thread = {"configurable": {"thread_id": str(uuid4()), "checkpoint_ns": ""}}
        await saver.aput(thread, checkpoint, {}, {"planted": "1"})  # pyright: ignore[reportArgumentType]  TypedDicts of LangGraph
        kind, blob = JsonPlusSerializer().dumps_typed({"x"})
        planted = blob.replace(b"builtins", b"\x00" * 8) if b"builtins" not in blob else blob
        assert kind == "msgpack"
        forged = _name(planted)
        async with pool.connection() as connection:
            await connection.execute("UPDATE checkpoint_blobs SET blob = %s", (forged,))
        await saver.aget_tuple(thread)  # pyright: ignore[reportArgumentType]
    assert not Harmless.called


def _name(blob: bytes) -> bytes:
    """The same blob, naming our class; lengths in msgpack are one byte before each short string."""
    module, name = Harmless.__module__.encode(), b"Harmless"
    return blob.replace(b"\xa8builtins", bytes([0xA0 + len(module)]) + module).replace(
        b"\xa3set", bytes([0xA0 + len(name)]) + name
    )
