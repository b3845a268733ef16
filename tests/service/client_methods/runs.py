"""Runs."""

from typing import Any

from tests.service.client_methods.registry import works
from tests.service.sdk import Sdk, collected, data_of, new_thread

STEPS: dict[str, Any] = {"steps": []}
WALKED = ["first", "middle", "last"]


@works("runs.create")
async def create(sdk: Sdk) -> None:
    made = await sdk.runs.create(await new_thread(sdk), "steps", input=STEPS)
    assert (await sdk.runs.join(made["thread_id"], made["run_id"]))["steps"] == WALKED


@works("runs.wait")
async def wait(sdk: Sdk) -> None:
    assert (await sdk.runs.wait(None, "steps", input=STEPS))["steps"] == WALKED


@works("runs.stream")
async def stream(sdk: Sdk) -> None:
    parts = await collected(sdk.runs.stream(await new_thread(sdk), "steps", input=STEPS))
    assert data_of(parts, "values")[-1]["steps"] == WALKED


@works("runs.create_batch")
async def create_batch(sdk: Sdk) -> None:
    made = await sdk.runs.create_batch([{"assistant_id": "steps", "input": STEPS}] * 2)
    for run in made:
        assert (await sdk.runs.join(run["thread_id"], run["run_id"]))["steps"] == WALKED


@works("runs.list")
async def list_runs(sdk: Sdk) -> None:
    made = await sdk.runs.create(await new_thread(sdk), "steps", input=STEPS)
    [listed] = await sdk.runs.list(made["thread_id"], select=["run_id", "kwargs"])
    assert listed == {"run_id": made["run_id"], "kwargs": {"input": STEPS}}


@works("runs.get")
async def get(sdk: Sdk) -> None:
    made = await sdk.runs.create(await new_thread(sdk), "steps", input=STEPS)
    assert (await sdk.runs.get(made["thread_id"], made["run_id"]))["created_at"] == made["created_at"]


@works("runs.join")
async def join(sdk: Sdk) -> None:
    made = await sdk.runs.create(None, "steps", input=STEPS)
    assert (await sdk.runs.join(made["thread_id"], made["run_id"]))["steps"] == WALKED


@works("runs.join_stream")
async def join_stream(sdk: Sdk) -> None:
    made = await sdk.runs.create(await new_thread(sdk), "steps", input=STEPS, stream_mode="updates")
    parts = await collected(sdk.runs.join_stream(made["thread_id"], made["run_id"]))
    assert [list(update) for update in data_of(parts, "updates")] == [[step] for step in WALKED]


@works("runs.cancel")
async def cancel(sdk: Sdk) -> None:
    made = await sdk.runs.create(await new_thread(sdk), "steps", input=STEPS, after_seconds=60)
    await sdk.runs.cancel(made["thread_id"], made["run_id"], wait=True)
    assert (await sdk.runs.get(made["thread_id"], made["run_id"]))["status"] == "interrupted"


@works("runs.cancel_many")
async def cancel_many(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    for _ in range(2):
        await sdk.runs.create(thread_id, "steps", input=STEPS, after_seconds=60)
    await sdk.runs.cancel_many(thread_id=thread_id, status="pending")
    assert [run["status"] for run in await sdk.runs.list(thread_id)] == ["interrupted"] * 2


@works("runs.delete")
async def delete(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    await sdk.runs.wait(thread_id, "steps", input=STEPS)
    [run] = await sdk.runs.list(thread_id)
    await sdk.runs.delete(thread_id, run["run_id"])
    assert await sdk.runs.list(thread_id) == []
