"""What works on whole threads: taking a run back, copying, pruning, erasing."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from psycopg.errors import UniqueViolation
from typing_extensions import TypedDict

from app.runtime.checkpoints import PooledSaver, writing_as
from app.runtime.graph_config import AnyGraph
from app.settings import Settings
from tests.service.checkpointing import ANSWER, QUESTION, all_rows, claimed_run, opened, thread, varied_graph

pytestmark = pytest.mark.anyio


def run_of(run_id: object, thread_id: str = "t") -> RunnableConfig:
    return {**thread(thread_id), "metadata": {"run_id": str(run_id)}}


class Steps(TypedDict, total=False):
    left: str
    right: str
    end: str


def left(state: Steps) -> Steps:
    return {"left": "done"}


def right(state: Steps) -> Steps:
    return {"right": interrupt("Right?")}


def end(state: Steps) -> Steps:
    if state.get("right") == "fail":
        raise ValueError("as asked")
    return {"end": "done"}


def question_beside_a_finished_task(saver: PooledSaver, **how: Any) -> AnyGraph:
    graph = StateGraph(Steps)
    graph.add_node("left", left)
    graph.add_node("right", right)
    graph.add_node("end", end)
    graph.add_edge(START, "left")
    graph.add_edge(START, "right")
    graph.add_edge(["left", "right"], "end")
    return graph.compile(checkpointer=saver, **how)


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_a_run_taken_back_leaves_the_thread_as_it_was(settings: Settings, durability: Any) -> None:
    async with opened(settings) as pool:
        graph, saver = varied_graph(PooledSaver(pool)), PooledSaver(pool)
        for given in (QUESTION, ANSWER, QUESTION):
            await graph.ainvoke(given, run_of(uuid4()), durability=durability)
        before = await all_rows(pool)
        run_id = await claimed_run(pool)
        with writing_as(run_id, 1):
            await graph.ainvoke(QUESTION, run_of(run_id), durability=durability)
        assert await all_rows(pool) != before
        await saver.forget_run("t", str(run_id))
        assert await all_rows(pool) == before


@pytest.mark.parametrize("answer", ["Yes", "fail"])
@pytest.mark.parametrize("durability", ["sync", "exit"])
async def test_an_answer_taken_back_opens_the_question_again_and_keeps_what_was_done_before(
    settings: Settings, answer: str, durability: Any
) -> None:
    async with opened(settings) as pool:
        saver = PooledSaver(pool)
        graph = question_beside_a_finished_task(saver)
        await graph.ainvoke({}, run_of(uuid4()), durability="sync")
        before, asked = await all_rows(pool), await graph.aget_state(thread("t"))
        run_id = await claimed_run(pool)
        with writing_as(run_id, 1):
            if answer == "fail":
                with pytest.raises(ValueError, match="as asked"):
                    await graph.ainvoke(Command(resume=answer), run_of(run_id), durability=durability)
            else:
                await graph.ainvoke(Command(resume=answer), run_of(run_id), durability=durability)
        await saver.forget_run("t", str(run_id))
        assert await all_rows(pool) == before
        assert await graph.aget_state(thread("t")) == asked
        again = await graph.ainvoke(Command(resume="No"), run_of(uuid4()))
        assert again == {"left": "done", "right": "No", "end": "done"}


async def test_a_run_that_went_on_from_a_stop_between_steps_is_taken_back_whole(settings: Settings) -> None:
    async with opened(settings) as pool:
        saver = PooledSaver(pool)
        graph = question_beside_a_finished_task(saver, interrupt_before=["right"])
        await graph.ainvoke({}, run_of(uuid4()), durability="sync")
        before = await all_rows(pool)
        run_id = await claimed_run(pool)
        with writing_as(run_id, 1):
            await graph.ainvoke(None, run_of(run_id), durability="sync")
        assert await all_rows(pool) != before
        await saver.forget_run("t", str(run_id))
        assert await all_rows(pool) == before


async def test_a_copy_has_the_whole_history_and_a_life_of_its_own(settings: Settings) -> None:
    async with opened(settings) as pool:
        saver = PooledSaver(pool)
        graph = varied_graph(saver)
        for given in (QUESTION, ANSWER, QUESTION):
            await graph.ainvoke(given, thread("t"))
        before = await all_rows(pool, "t")
        await saver.acopy_thread("t", "copy")
        copied = await all_rows(pool, "copy")
        assert {table: [{**row, "thread_id": "t"} for row in rows] for table, rows in copied.items()} == before
        await graph.ainvoke(ANSWER, thread("copy"))
        assert not (await graph.aget_state(thread("copy"))).next
        assert await all_rows(pool, "t") == before
        with pytest.raises(UniqueViolation):
            await saver.acopy_thread("t", "copy")


async def test_pruning_keeps_the_state_and_bears_company(settings: Settings) -> None:
    async with opened(settings) as pool:
        saver = PooledSaver(pool)
        graph = question_beside_a_finished_task(saver)
        threads = [f"t{number}" for number in range(4)]
        for thread_id in threads:
            for _ in range(5):
                await graph.ainvoke({}, thread(thread_id))
                await graph.ainvoke(Command(resume="Yes"), thread(thread_id))
        before = {thread_id: await graph.aget_state(thread(thread_id)) for thread_id in threads}
        await asyncio.gather(*(saver.aprune(threads) for _ in range(6)))
        for thread_id, state in before.items():
            assert (await graph.aget_state(thread(thread_id))).values == state.values
            assert len((await all_rows(pool, thread_id))["checkpoints"]) == 1


async def test_a_thread_that_cannot_be_pruned_does_not_stop_the_others(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(settings) as pool:
        saver = PooledSaver(pool)
        await varied_graph(saver).ainvoke(QUESTION, thread("delta"))
        await question_beside_a_finished_task(saver).ainvoke({}, thread("plain"))
        kept = await all_rows(pool, "delta")
        with caplog.at_level(logging.WARNING, "app.runtime.checkpoints"):
            await saver.aprune(["delta", "plain"])
        assert [record.message for record in caplog.records] == ["a thread cannot be pruned"]
        assert await all_rows(pool, "delta") == kept
        assert len((await all_rows(pool, "plain"))["checkpoints"]) == 1


async def test_an_erased_thread_leaves_no_row_and_no_other_thread_loses_any(settings: Settings) -> None:
    async with opened(settings) as pool:
        saver = PooledSaver(pool)
        graph = varied_graph(saver)
        for thread_id in ("erased", "erased too", "erased last", "kept"):
            await graph.ainvoke(QUESTION, thread(thread_id))
        kept = await all_rows(pool, "kept")
        await saver.adelete_thread("erased last")
        async with pool.connection() as connection:
            await saver.delete_threads(connection, ["erased", "erased too"])
        assert await all_rows(pool) == kept
