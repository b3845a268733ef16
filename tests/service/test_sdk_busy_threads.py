"""Cancelling runs, and what a second run does to the first, through the real langgraph-sdk."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError

from tests.service.sdk import Sdk, collected, held, new_thread
from tests.service.waiting import eventually, eventually_async

pytestmark = pytest.mark.anyio

STEPS: dict[str, Any] = {"steps": []}


async def test_cancelling_a_running_run_keeps_its_finished_steps(sdk: Sdk, tmp_path: Path) -> None:
    thread_id = await new_thread(sdk)
    made = await sdk.runs.create(thread_id, "steps", input=held(tmp_path))
    await eventually((tmp_path / "reached").exists)
    await sdk.runs.cancel(thread_id, made["run_id"], wait=True)
    assert (await sdk.runs.get(thread_id, made["run_id"]))["status"] == "interrupted"
    state = await sdk.threads.get_state(thread_id)
    assert (state["values"]["steps"], state["next"]) == (["first"], ["middle"])
    with pytest.raises(ConflictError, match="ended already"):
        await sdk.runs.cancel(thread_id, made["run_id"])

    (tmp_path / "release").touch()
    values = await sdk.runs.wait(thread_id, "steps", input=None)
    assert values["steps"] == ["first", "middle", "last"]


async def test_cancelling_with_rollback_leaves_no_trace_of_the_run(sdk: Sdk, tmp_path: Path) -> None:
    thread_id = await new_thread(sdk)
    await sdk.runs.wait(thread_id, "steps", input={"steps": ["before"]})
    history = await sdk.threads.get_history(thread_id)
    made = await sdk.runs.create(thread_id, "steps", input=held(tmp_path))
    await eventually((tmp_path / "reached").exists)
    await sdk.runs.cancel(thread_id, made["run_id"], wait=True, action="rollback")
    with pytest.raises(NotFoundError, match="no such run"):
        await sdk.runs.get(thread_id, made["run_id"])
    assert await sdk.threads.get_history(thread_id) == history
    assert (await sdk.threads.get(thread_id))["status"] == "idle"


async def test_cancelling_a_pending_run_ends_it_before_it_began(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    made = await sdk.runs.create(thread_id, "steps", input=STEPS, after_seconds=60)
    await sdk.runs.cancel(thread_id, made["run_id"])
    assert (await sdk.runs.get(thread_id, made["run_id"]))["status"] in {"cancelled", "interrupted"}
    thread = await sdk.threads.get(thread_id)
    assert (thread["status"], thread["values"]) == ("idle", None)


async def test_whoever_waits_for_a_run_that_is_cancelled_gets_its_end(sdk: Sdk, tmp_path: Path) -> None:
    thread_id = await new_thread(sdk)
    waiting = asyncio.create_task(sdk.runs.wait(thread_id, "steps", input=held(tmp_path)))
    await eventually((tmp_path / "reached").exists)
    [run] = await sdk.runs.list(thread_id)
    streaming = asyncio.create_task(collected(sdk.runs.join_stream(thread_id, run["run_id"])))
    await sdk.runs.cancel(thread_id, run["run_id"])
    values = await waiting
    assert values["steps"] == ["first"]
    assert (await streaming)[-1].event == "end"


async def test_deleting_a_thread_stops_its_run(sdk: Sdk, tmp_path: Path) -> None:
    thread_id = await new_thread(sdk)
    waiting = asyncio.create_task(collected(sdk.runs.stream(thread_id, "steps", input=held(tmp_path))))
    await eventually((tmp_path / "reached").exists)
    await sdk.threads.delete(thread_id)
    assert (await waiting)[-1].event in {"error", "end"}
    with pytest.raises(NotFoundError):
        await sdk.threads.get(thread_id)


async def test_one_run_after_another_is_the_default_on_a_busy_thread(sdk: Sdk, tmp_path: Path) -> None:
    thread_id = await new_thread(sdk)
    first = await sdk.runs.create(thread_id, "steps", input=held(tmp_path))
    second = await sdk.runs.create(thread_id, "steps", input={"steps": ["second"]}, multitask_strategy="enqueue")
    await eventually((tmp_path / "reached").exists)
    assert (await sdk.threads.get(thread_id))["status"] == "busy"
    assert (await sdk.runs.get(thread_id, second["run_id"]))["status"] == "pending"
    (tmp_path / "release").touch()
    values = await sdk.runs.join(thread_id, second["run_id"])
    assert values["steps"] == ["first", "middle", "last", "second", "first", "middle", "last"]
    assert (await sdk.runs.get(thread_id, first["run_id"]))["status"] == "success"


async def test_a_rejected_run_leaves_the_one_in_progress_alone(sdk: Sdk, tmp_path: Path) -> None:
    thread_id = await new_thread(sdk)
    first = await sdk.runs.create(thread_id, "steps", input=held(tmp_path))
    with pytest.raises(ConflictError, match="Another run is writing") as refused:
        await sdk.runs.create(thread_id, "steps", input=STEPS, multitask_strategy="reject")
    assert int(refused.value.response.headers["retry-after"]) > 0
    (tmp_path / "release").touch()
    values = await sdk.runs.join(thread_id, first["run_id"])
    assert values["steps"] == ["first", "middle", "last"]
    assert len(await sdk.runs.list(thread_id)) == 1


async def test_an_interrupting_run_goes_on_from_the_steps_the_other_finished(sdk: Sdk, tmp_path: Path) -> None:
    thread_id = await new_thread(sdk)
    first = await sdk.runs.create(thread_id, "steps", input=held(tmp_path))
    await eventually((tmp_path / "reached").exists)
    other = {"steps": ["second"], "release": "", "reached": ""}
    values = await sdk.runs.wait(thread_id, "steps", input=other, multitask_strategy="interrupt")
    assert values["steps"] == ["first", "second", "first", "middle", "last"]
    assert (await sdk.runs.get(thread_id, first["run_id"]))["status"] == "interrupted"


async def test_a_run_that_rolls_back_begins_as_if_the_other_had_never_been(sdk: Sdk, tmp_path: Path) -> None:
    thread_id = await new_thread(sdk)
    first = await sdk.runs.create(thread_id, "steps", input=held(tmp_path))
    await eventually((tmp_path / "reached").exists)
    values = await sdk.runs.wait(thread_id, "steps", input={"steps": ["second"]}, multitask_strategy="rollback")
    assert values == {"steps": ["second", "first", "middle", "last"]}
    assert [run["run_id"] for run in await sdk.runs.list(thread_id)] != [first["run_id"]]
    with pytest.raises(NotFoundError):
        await sdk.runs.get(thread_id, first["run_id"])


async def test_a_thread_takes_no_values_by_hand_while_a_run_writes(sdk: Sdk, tmp_path: Path) -> None:
    thread_id = await new_thread(sdk)
    made = await sdk.runs.create(thread_id, "steps", input=held(tmp_path))
    await eventually((tmp_path / "reached").exists)
    with pytest.raises(ConflictError, match="A run is writing"):
        await sdk.threads.update_state(thread_id, {"steps": ["by hand"]})
    (tmp_path / "release").touch()
    await sdk.runs.join(thread_id, made["run_id"])

    async def updated() -> object:
        return await sdk.threads.update_state(thread_id, {"steps": ["by hand"]})

    await eventually_async(updated)
