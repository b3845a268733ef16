"""Threads followed through their runs."""

from typing import Any

from tests.service.client_methods.registry import works
from tests.service.sdk import Sdk, each, followed, new_thread, now

STEPS: dict[str, Any] = {"steps": []}
WALKED = ["first", "middle", "last"]


async def _states(events: Any) -> list[Any]:
    """Of a run, up to its end."""
    found: list[Any] = []
    async for event in each(events):
        if event["method"] == "values":
            found.append(event["params"]["data"]["steps"])
        elif event["method"] == "lifecycle" and event["params"]["data"]["event"] == "completed":
            break
    return found


@works("threads.stream")
async def stream(sdk: Sdk) -> None:
    async with followed(sdk, "steps") as thread:
        run_id = (await now(thread.run.start(input=STEPS)))["run_id"]
        await now(thread.output)
    assert (await sdk.runs.get(thread.thread_id, run_id))["status"] == "success"


@works("threads.join_stream")
async def join_stream(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    run = await sdk.runs.create(thread_id, "steps", input=STEPS, after_seconds=1)
    parts = await now(sdk.threads.join_stream(thread_id))
    shown: list[Any] = []
    async for part in each(parts):
        shown.append(part)
        if part.data == {"status": "run_done", "run_id": run["run_id"]}:
            break
    assert [part.data["steps"] for part in shown if part.event == "values"][-1] == WALKED


@works("thread stream.events")
async def events(sdk: Sdk) -> None:
    async with followed(sdk, "steps") as thread:
        await now(thread.run.start(input=STEPS))
        assert (await _states(thread.events))[-1] == WALKED


@works("thread stream.subscribe")
async def subscribe(sdk: Sdk) -> None:
    async with followed(sdk, "steps") as thread:
        await now(thread.run.start(input=STEPS))
        assert (await _states(thread.subscribe(["values"])))[-1] == WALKED


@works("thread stream.interleave_projections")
async def interleave_projections(sdk: Sdk) -> None:
    async with followed(sdk, "steps") as thread:
        await now(thread.run.start(input=STEPS))
        parts = [part async for part in each(thread.interleave_projections(["values", "updates"]))]
    assert {channel for channel, _ in parts} == {"values", "updates"}


@works("thread stream.output")
async def output(sdk: Sdk) -> None:
    async with followed(sdk, "steps") as thread:
        await now(thread.run.start(input=STEPS))
        assert (await now(thread.output))["steps"] == WALKED


@works("thread stream.observe_applied_through_seq")
async def observe_applied_through_seq(sdk: Sdk) -> None:
    """The number that the SDK takes from the answer to a command: what begins above it is the whole run."""
    async with followed(sdk, "steps") as thread:
        if observe := getattr(thread, "observe_applied_through_seq", None):  # the asynchronous client's alone
            observe(1)
        await now(thread.run.start(input=STEPS))
        assert (await _states(thread.subscribe(["values"])))[-1] == WALKED


@works("thread stream.close")
async def close(sdk: Sdk) -> None:
    async with followed(sdk, "steps") as thread:
        await now(thread.run.start(input=STEPS))
        await now(thread.close())
    assert (await sdk.runs.list(thread.thread_id))[0]["assistant_id"]
