"""The saver stores what LangGraph's own one stores, reads what it wrote, and loads only types a graph declares."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from math import inf, nan
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, empty_checkpoint
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row
from pydantic import BaseModel, SecretStr

from app.runtime.checkpoints import PooledSaver
from app.runtime.database import Pool
from app.settings import Settings
from tests.service.backends import pgbouncer
from tests.service.checkpointing import (
    ANSWER,
    DOUBT,
    QUESTION,
    Mood,
    Note,
    Person,
    all_rows,
    opened,
    thread,
    varied_graph,
)

pytestmark = pytest.mark.anyio

STRICT = JsonPlusSerializer(allowed_msgpack_modules=None)


class Both(PooledSaver):
    """Repeats every call on a stock saver."""

    def __init__(self, pool: Pool, stock: AsyncPostgresSaver) -> None:
        super().__init__(pool)
        self._stock = stock

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        answers = (
            await super().aput(config, checkpoint, metadata, new_versions),
            await self._stock.aput(config, checkpoint, metadata, new_versions),
        )
        assert answers[0] == answers[1]
        return answers[0]

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        await super().aput_writes(config, writes, task_id, task_path)
        await self._stock.aput_writes(config, writes, task_id, task_path)


@asynccontextmanager
async def stock_saver(database_url: str, schema: str = "public") -> AsyncGenerator[AsyncPostgresSaver]:
    url = make_conninfo(database_url, options=f"-c search_path={schema}")
    async with await AsyncConnection[DictRow].connect(url, autocommit=True, row_factory=dict_row) as connection:
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}".encode())
        saver = AsyncPostgresSaver(connection, serde=STRICT)
        await saver.setup()
        yield saver


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_the_rows_are_those_of_the_stock_saver(settings: Settings, database_url: str, durability: Any) -> None:
    async with opened(settings) as pool, stock_saver(database_url, "stock") as stock:
        graph = varied_graph(Both(pool, stock))
        for given_input in (QUESTION, DOUBT, ANSWER, QUESTION):
            await graph.ainvoke(given_input, thread("t"), durability=durability)
        await graph.aupdate_state(thread("t"), {"text": "corrected"})
        ours = await all_rows(pool)
        theirs = await all_rows(pool, schema="stock")
    assert ours == theirs
    assert all(ours.values())


@pytest.mark.parametrize("ours_first", [True, False])
async def test_a_thread_of_one_saver_goes_on_with_the_other(
    settings: Settings, database_url: str, ours_first: bool
) -> None:
    async with opened(settings) as pool, stock_saver(database_url) as stock:
        graphs = [varied_graph(PooledSaver(pool)), varied_graph(stock)]
        first, second = graphs if ours_first else reversed(graphs)
        asked = await first.ainvoke(QUESTION, thread("t"))
        assert [question.value for question in asked["__interrupt__"]] == ["Is it right?"]
        answered = await second.ainvoke(ANSWER, thread("t"))
        assert [message.text for message in answered["messages"]] == ["Hello", "Is it right?", "Yes"]
        histories = [[state async for state in graph.aget_state_history(thread("t"))] for graph in graphs]
    assert histories[0] == histories[1]
    assert len(histories[0]) == 6


async def test_the_types_a_graph_declares_come_back_as_they_were(settings: Settings) -> None:
    async with opened(settings) as pool:
        saver = PooledSaver(pool)
        await varied_graph(saver).ainvoke(QUESTION, thread("t"))
        graph = varied_graph(saver)
        values = (await graph.aget_state(thread("t"))).values
        assert (values["person"], values["mood"], values["note"]) == (Person("Ada", 36), Mood.GOOD, Note(text="n"))
        assert (values["data"], values["buffer"], values["number"]) == (b"\0\xff", bytearray(b"\1\2"), 2**62)
        assert values["parts"] == ["x", "y", "z"]
        assert values["log"] == ["filled", "x", "y", "z"]
        assert isinstance(graph.checkpointer, PooledSaver)


async def test_a_copy_for_one_graphs_types_is_made_once_and_allows_nobody_elses(settings: Settings) -> None:
    async with opened(settings) as pool:
        saver = PooledSaver(pool)
        person, mood = (Person.__module__, "Person"), (Mood.__module__, "Mood")
        copy = saver.with_allowlist({person})
        assert copy is saver.with_allowlist({person})
        both = copy.with_allowlist({mood})
        stored = copy.serde.dumps_typed([Person("Ada", 36), Mood.GOOD])
        assert saver.serde.loads_typed(stored) == [{"name": "Ada", "age": 36}, "good"]
        assert saver.with_allowlist({mood}).serde.loads_typed(stored) == [{"name": "Ada", "age": 36}, Mood.GOOD]
        assert copy.serde.loads_typed(stored) == [Person("Ada", 36), "good"]
        assert both.serde.loads_typed(stored) == [Person("Ada", 36), Mood.GOOD]


class Foreign(BaseModel):
    """Any class that could be imported here and is of no graph's schema."""

    word: str


async def test_a_checkpoint_that_names_a_foreign_class_makes_no_instance_of_it(settings: Settings) -> None:
    planted = Foreign(word="x")
    trusting = JsonPlusSerializer(allowed_msgpack_modules=True)
    assert trusting.loads_typed(trusting.dumps_typed(planted)) == planted
    async with opened(settings) as pool:
        assert await _stored_and_loaded(PooledSaver(pool), "t", planted) == {"word": "x"}


# LangGraph keeps numbers in jsonb, where -0.0 is 0.0.
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False).map(lambda number: number + 0.0)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@examples(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(JSON, min_size=1, max_size=30))
async def test_every_value_comes_back(settings: Settings, values: list[object]) -> None:
    async with opened(settings) as pool:
        saver = PooledSaver(pool)
        stored = (_stored_and_loaded(saver, uuid4().hex, value) for value in values)
        assert repr(await asyncio.gather(*stored)) == repr(values)


@pytest.mark.parametrize("value", ["a\0b", nan, inf, -inf, 7.03995825137675e16, 2**70])
async def test_a_value_at_the_edge_of_json_comes_back_and_the_stock_saver_reads_it(
    settings: Settings, database_url: str, value: object
) -> None:
    async with opened(settings) as pool, stock_saver(database_url) as stock:
        assert repr(await _stored_and_loaded(PooledSaver(pool), "t", value)) == repr(value)
        found = await stock.aget_tuple(thread("t"))
        assert found
        assert repr(found.checkpoint["channel_values"]["value"]) == repr(value)


async def _stored_and_loaded(saver: PooledSaver, thread_id: str, value: object) -> object:
    checkpoint = empty_checkpoint()
    checkpoint["channel_values"] = {"value": value}
    checkpoint["channel_versions"] = {"value": "1"}
    await saver.aput(thread(thread_id), checkpoint, {}, {"value": "1"})
    found = await saver.aget_tuple(thread(thread_id))
    assert found
    return found.checkpoint["channel_values"]["value"]


async def test_a_listing_that_is_looked_at_slowly_keeps_no_connection(settings: Settings) -> None:
    async with opened(settings, pool_min_size=1, pool_max_size=2) as pool:
        saver = PooledSaver(pool)
        await varied_graph(saver).ainvoke(QUESTION, thread("t"))
        listings = [saver.alist(thread("t")) for _ in range(4)]
        newest = [await anext(aiter(listing)) for listing in listings]
        async with asyncio.timeout(5):
            assert [await saver.aget_tuple(thread("t"))] * 4 == newest


@pytest.mark.parametrize("durability", ["sync", "async"])
async def test_64_threads_written_at_once_through_a_pool_of_4_lose_nothing(settings: Settings, durability: Any) -> None:
    async with opened(settings, pool_max_size=4, pool_timeout_seconds=60) as pool:
        graph = varied_graph(PooledSaver(pool))

        async def ask_and_answer(number: int) -> None:
            for given_input in (QUESTION, ANSWER):
                await graph.ainvoke(given_input, thread(f"t{number}"), durability=durability)

        await asyncio.gather(*(ask_and_answer(number) for number in range(64)))
        alone = await all_rows(pool, "t0")
        for number in range(64):
            state = await graph.aget_state(thread(f"t{number}"))
            assert [message.text for message in state.values["messages"]] == ["Hello", "Is it right?", "Yes"]
            assert not state.next
            stored = await all_rows(pool, f"t{number}")
            assert {table: len(found) for table, found in stored.items()} == {
                table: len(found) for table, found in alone.items()
            }


async def test_it_works_through_a_pooler_that_gives_each_statement_another_connection(
    settings: Settings, database_url: str
) -> None:
    async with opened(settings):
        pass
    with pgbouncer(database_url) as url:
        pooled = settings.model_copy(update={"database_url": SecretStr(url)})
        async with opened(pooled, pool_min_size=8, pool_timeout_seconds=60) as pool:
            saver = PooledSaver(pool)
            graph = varied_graph(saver)

            async def turn(number: int) -> None:
                await graph.ainvoke(QUESTION, thread(f"t{number}"), durability="sync")
                await graph.ainvoke(ANSWER, thread(f"t{number}"), durability="exit")

            await asyncio.gather(*(turn(number) for number in range(16)))
            await saver.aprune([f"t{number}" for number in range(16)])
            for number in range(16):
                state = await graph.aget_state(thread(f"t{number}"))
                assert [message.text for message in state.values["messages"]] == ["Hello", "Is it right?", "Yes"]
