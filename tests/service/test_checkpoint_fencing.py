"""A worker that lost its run stores nothing any more, and calls that share a statement do not share their failures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast
from uuid import UUID

import pytest
from langgraph.checkpoint.base import Checkpoint, empty_checkpoint
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from psycopg import OperationalError
from psycopg.errors import UntranslatableCharacter
from psycopg.sql import SQL
from typing_extensions import TypedDict

from app.runtime.checkpoint_statements import Connection
from app.runtime.checkpoints import PooledSaver, writing_as
from app.runtime.database import Pool
from app.runtime.graph_config import AnyGraph
from app.runtime.problems import LeaseLost
from app.settings import Settings
from tests.service.checkpointing import ANSWER, QUESTION, all_rows, claimed_run, opened, thread, varied_graph
from tests.service.waiting import eventually_async

pytestmark = pytest.mark.anyio


class Count(TypedDict):
    count: int


async def add_async(state: Count) -> Count:
    return {"count": state["count"] + 1}


def add_sync(state: Count) -> Count:
    return {"count": state["count"] + 1}


def two_steps(saver: PooledSaver, node: Any) -> AnyGraph:
    graph = StateGraph(Count)
    graph.add_node("first", node)
    graph.add_node("second", node)
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    return graph.compile(checkpointer=saver)


def nested(saver: PooledSaver) -> AnyGraph:
    inner = two_steps(saver, add_async)
    inner.checkpointer = None
    return two_steps(saver, inner)


def functional(saver: PooledSaver) -> AnyGraph:
    add = task(add_sync)

    @entrypoint(checkpointer=saver)
    async def twice(state: Count) -> Count:
        return await add(await add(state))

    return cast("AnyGraph", twice)


GRAPHS: dict[str, Callable[[PooledSaver], AnyGraph]] = {
    "async nodes": partial(two_steps, node=add_async),
    "nodes in threads": partial(two_steps, node=add_sync),
    "a subgraph": nested,
    "functions": functional,
}
every_kind = pytest.mark.parametrize("make", GRAPHS.values(), ids=GRAPHS.keys())
every_durability = pytest.mark.parametrize("durability", ["sync", "async", "exit"])


@every_kind
@every_durability
async def test_an_older_claim_stores_nothing(settings: Settings, make: Any, durability: Any) -> None:
    async with opened(settings) as pool:
        run_id = await claimed_run(pool, fence=2)
        graph = make(PooledSaver(pool))
        with pytest.raises(LeaseLost), writing_as(run_id, 1):
            await graph.ainvoke({"count": 0}, thread("t"), durability=durability)
        assert not any((await all_rows(pool)).values())


@every_kind
@every_durability
async def test_the_newest_claim_stores_all_and_signs_its_writes(settings: Settings, make: Any, durability: Any) -> None:
    async with opened(settings) as pool:
        run_id = await claimed_run(pool, fence=2)
        graph = make(PooledSaver(pool))
        with writing_as(run_id, 2):
            await graph.ainvoke({"count": 0}, thread("fenced"), durability=durability)
        await graph.ainvoke({"count": 0}, thread("free"), durability=durability)
        fenced, free = await all_rows(pool, "fenced"), await all_rows(pool, "free")
        assert {table: len(rows) for table, rows in fenced.items()} == {
            table: len(rows) for table, rows in free.items()
        }
        assert await writers(pool, "fenced") <= {run_id}
        assert await writers(pool, "free") <= {None}
        if durability != "exit":
            assert await writers(pool, "fenced")


async def writers(pool: Pool, thread_id: str) -> set[UUID | None]:
    async with pool.connection() as connection:
        query = "SELECT written_by FROM checkpoint_writes WHERE thread_id = %s"
        return {row["written_by"] for row in await (await connection.execute(query, (thread_id,))).fetchall()}


@pytest.mark.parametrize(
    "change",
    [
        b"UPDATE runs SET status = 'pending', worker = NULL, lease_until = NULL",
        b"UPDATE runs SET fence = fence + 1",
        b"DELETE FROM runs",
    ],
    ids=["waits again", "was claimed", "is gone"],
)
async def test_a_run_taken_away_between_two_steps_stores_no_more(settings: Settings, change: bytes) -> None:
    async with opened(settings) as pool:
        run_id = await claimed_run(pool)
        saver = PooledSaver(pool)
        with writing_as(run_id, 1):
            await put(saver, "t")
            before = await all_rows(pool)
            async with pool.connection() as connection:
                await connection.execute(change)
            with pytest.raises(LeaseLost):
                await put(saver, "t")
            with pytest.raises(LeaseLost):
                await saver.aput_writes(thread("t", checkpoint_id="c"), [("count", 1)], "task")
            with pytest.raises(LeaseLost):
                await saver.forget_run("t", str(run_id))
        assert await all_rows(pool) == before


async def test_a_write_that_meets_a_claim_in_the_act_waits_for_it_and_stores_nothing(settings: Settings) -> None:
    async with opened(settings) as pool:
        run_id = await claimed_run(pool)
        async with pool.connection() as claim, claim.transaction():
            await claim.execute("SELECT FROM runs WHERE run_id = %s FOR UPDATE", (run_id,))
            await claim.execute("UPDATE runs SET fence = 2 WHERE run_id = %s", (run_id,))
            with writing_as(run_id, 1):
                late = asyncio.create_task(put(PooledSaver(pool), "t"))
            await eventually_async(lambda: waits_for_a_lock(pool))
            assert not late.done()
        with pytest.raises(LeaseLost):
            await late
        assert not any((await all_rows(pool)).values())


async def test_a_renewal_of_the_lease_holds_up_no_write(settings: Settings) -> None:
    async with opened(settings) as pool:
        run_id = await claimed_run(pool)
        async with pool.connection() as renewal, renewal.transaction():
            await renewal.execute("UPDATE runs SET lease_until = now() + interval '20 s'")
            async with asyncio.timeout(5):
                with writing_as(run_id, 1):
                    await put(PooledSaver(pool), "t")
        assert len((await all_rows(pool))["checkpoints"]) == 1


async def test_of_calls_in_one_statement_only_the_wrong_ones_fail(settings: Settings) -> None:
    async with opened(settings) as pool:
        lost, held = await claimed_run(pool, fence=2), await claimed_run(pool)
        saver = PooledSaver(pool)

        async def put_as(run_id: UUID, thread_id: str) -> None:
            with writing_as(run_id, 1):
                await put(saver, thread_id)

        answers = await asyncio.gather(
            put(saver, "free"),
            put_as(lost, "lost"),
            put(saver, "no\0text"),
            put_as(held, "held"),
            put(saver, "free too"),
            return_exceptions=True,
        )
        assert [type(answer) for answer in answers if isinstance(answer, Exception)] == [
            LeaseLost,
            UntranslatableCharacter,
        ]
        assert {row["thread_id"] for row in (await all_rows(pool))["checkpoints"]} == {"free", "held", "free too"}


async def test_of_two_puts_of_one_checkpoint_at_once_the_later_stays(settings: Settings) -> None:
    async with opened(settings) as pool:
        saver = PooledSaver(pool)
        checkpoint = empty_checkpoint()
        puts = [put(saver, "t", {**checkpoint, "channel_values": {"count": count}}) for count in range(8)]
        await asyncio.gather(*puts)
        found = await saver.aget_tuple(thread("t"))
        assert found
        assert found.checkpoint["channel_values"] == {"count": 7}


async def test_a_connection_cut_under_a_write_is_no_failure(settings: Settings) -> None:
    async with opened(settings) as pool:
        run_id = await claimed_run(pool)
        async with pool.connection() as other:
            async with other.transaction():
                await other.execute("SELECT FROM runs WHERE run_id = %s FOR UPDATE", (run_id,))
                with writing_as(run_id, 1):
                    written = asyncio.create_task(put(PooledSaver(pool), "t"))
                await eventually_async(lambda: waits_for_a_lock(pool))
                await other.execute(WAITING.format(SQL("pg_terminate_backend(pid)")), ())
            await written
        assert len((await all_rows(pool))["checkpoints"]) == 1


async def test_without_a_database_every_waiting_call_is_told(settings: Settings) -> None:
    async with opened(settings) as pool:
        saver = PooledSaver(pool)
    answers = await asyncio.gather(*(put(saver, f"t{number}") for number in range(3)), return_exceptions=True)
    assert [isinstance(answer, OperationalError) for answer in answers] == [True] * 3


async def test_a_call_given_up_while_it_waited_stores_nothing(settings: Settings) -> None:
    async with opened(settings, pool_min_size=2, pool_max_size=2) as pool:
        saver = PooledSaver(pool)
        async with pool.connection(), pool.connection():
            kept, given_up = asyncio.create_task(put(saver, "kept")), asyncio.create_task(put(saver, "given up"))
            await asyncio.sleep(0)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
        await kept
        assert [row["thread_id"] for row in (await all_rows(pool))["checkpoints"]] == ["kept"]


async def test_a_call_that_comes_while_the_last_ones_connection_goes_back_is_answered(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(settings) as pool:
        taken = pool.connection

        @asynccontextmanager
        async def slowly_given_back() -> AsyncGenerator[Connection]:
            async with taken() as connection:
                yield connection
                await asyncio.sleep(0.05)

        monkeypatch.setattr(pool, "connection", slowly_given_back)
        saver = PooledSaver(pool)
        async with asyncio.timeout(5):
            await put(saver, "t")
            await put(saver, "t")


async def test_a_resumed_run_that_is_fenced_off_leaves_the_question_open(settings: Settings) -> None:
    async with opened(settings) as pool:
        graph = varied_graph(PooledSaver(pool))
        await graph.ainvoke(QUESTION, thread("t"))
        before = await all_rows(pool)
        run_id = await claimed_run(pool, fence=2)
        with pytest.raises(LeaseLost), writing_as(run_id, 1):
            await graph.ainvoke(ANSWER, thread("t"), durability="sync")
        assert await all_rows(pool) == before


WAITING = SQL(
    "SELECT {} FROM pg_stat_activity"
    " WHERE wait_event_type = 'Lock' AND query LIKE '%%KEY SHARE%%' AND datname = current_database()"
)


async def waits_for_a_lock(pool: Pool) -> bool:
    async with pool.connection() as connection:
        return (await connection.execute(WAITING.format(SQL("pid")), ())).rowcount == 1


async def put(saver: PooledSaver, thread_id: str, checkpoint: Checkpoint | None = None) -> None:
    await saver.aput(thread(thread_id), checkpoint or empty_checkpoint(), {}, {})
