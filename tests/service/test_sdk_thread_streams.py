"""Threads followed through all of their runs: join_stream, and the event streaming protocol of threads.stream()."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client

from tests.service.processes import Services
from tests.service.projects.conversation.conversation import ANSWER
from tests.service.sdk import CONVERSATION, Sdk, each, followed, new_thread, now
from tests.service.waiting import eventually

pytestmark = pytest.mark.anyio

TRANSPORTS = ["sse", "websocket"]
STEPS: dict[str, Any] = {"steps": []}
WALKED = ["first", "middle", "last"]
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "how is the weather?"}]}
NOBODY: dict[str, Any] = {"answers": []}


@pytest.fixture
async def client(conversation_url: str) -> AsyncGenerator[Sdk]:
    async with get_client(url=conversation_url, api_key=None) as opened:
        yield opened


def _is_end(event: dict[str, Any]) -> bool:
    params = event["params"]
    return event["method"] == "lifecycle" and not params["namespace"] and params["data"]["event"] != "running"


async def _events(thread: Any) -> list[dict[str, Any]]:
    """All of a run."""
    found: list[dict[str, Any]] = []
    async for event in each(thread.events):
        if "method" not in event:
            continue  # by WebSocket the SDK passes on the answer to its subscription too
        found.append(event)
        if _is_end(event):
            break
    return found


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_run_is_told_of_from_its_beginning_to_its_end_in_order(sdk: Sdk, transport: str) -> None:
    async with followed(sdk, "talk", transport=transport) as thread:
        started = await now(thread.run.start(input=HELLO, metadata={"by": "protocol"}))
        events = await _events(thread)
        run = await sdk.runs.get(thread.thread_id, started["run_id"])
    assert (run["status"], run["metadata"]["by"]) == ("success", "protocol")
    phases = [event["params"]["data"]["event"] for event in events if event["method"] == "lifecycle"]
    assert phases == ["running", "completed"]
    numbers = [event["seq"] for event in events]
    assert numbers == sorted(set(numbers))
    assert len({event["event_id"] for event in events}) == len(events)
    custom = [event["params"]["data"]["payload"] for event in events if event["method"] == "custom"]
    assert custom == [{"looking": "up"}, {"looking": "down"}]
    updated = [event["params"]["node"] for event in events if event["method"] == "updates"]
    assert updated == ["look_outside", "answer"]
    assert {"values", "messages", "tasks", "checkpoints"} <= {event["method"] for event in events}


async def test_the_output_is_the_state_after_the_run_that_was_started(sdk: Sdk) -> None:
    """Also when another session's run on the thread ended a moment before."""
    async with followed(sdk, "steps") as first:
        await now(first.run.start(input=STEPS))
        assert (await now(first.output))["steps"] == WALKED
    async with followed(sdk, "steps", first.thread_id) as second:
        await now(second.run.start(input=STEPS))
        assert (await now(second.output))["steps"] == WALKED * 2


async def test_messages_come_token_by_token(client: Sdk) -> None:
    async with followed(client, "talk") as thread:
        await thread.run.start(input=HELLO)
        messages = [message async for message in thread.messages]
        tokens = [token async for token in messages[-1].text]
    assert "".join(tokens) == ANSWER
    assert len(tokens) > 1


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_question_is_told_of_and_answered_through_the_stream(client: Sdk, transport: str) -> None:
    async with followed(client, "survey", transport=transport) as thread:
        await thread.run.start(input=NOBODY)
        await eventually(lambda: len(thread.interrupts) == 1)
        assert thread.interrupts[0]["value"] == "your name?"
        await thread.run.respond("Ada")
        await eventually(lambda: len(thread.interrupts) == 2)
        await thread.run.respond(36, interrupt_id=thread.interrupts[1]["interrupt_id"])
        assert (await thread.output)["answers"] == ["prepared", "name Ada", "age 36"]


@pytest.mark.parametrize("recorded", [True, False])
async def test_who_comes_to_a_thread_that_asks_is_told_of_its_question(client: Sdk, recorded: bool) -> None:
    thread_id = await new_thread(client)
    if recorded:
        run = await client.runs.create(thread_id, "survey", input=NOBODY)
        await client.runs.join(thread_id, run["run_id"])
    else:
        await client.runs.wait(thread_id, "survey", input=NOBODY)
    async with followed(client, "survey", thread_id) as thread:
        await eventually(lambda: thread.interrupted)
        assert thread.interrupts[0]["value"] == "your name?"


async def test_subgraphs_are_found_while_they_run(client: Sdk) -> None:
    async with followed(client, "nested") as thread:
        await thread.run.start(input=NOBODY)
        [inner] = [subgraph async for subgraph in thread.subgraphs]
    assert inner.graph_name == "inner"


async def test_a_run_that_fails_fails_the_output(client: Sdk) -> None:
    async with followed(client, "steps") as thread:
        await thread.run.start(input={"fail": True})
        with pytest.raises(RuntimeError, match="Run errored: Graph 'steps' failed"):
            await thread.output


async def _values_after(since: int, url: str, thread_id: str, last: int) -> list[int]:
    """The numbers of the events of `values` that a subscription shows, up to the last."""
    ids: list[int] = []
    body: dict[str, Any] = {"channels": ["values"], "namespaces": [[]], "since": since}
    async with (
        httpx.AsyncClient(base_url=url) as http,
        http.stream("POST", f"/threads/{thread_id}/stream/events", json=body) as answer,
    ):
        async for line in answer.aiter_lines():
            ids += [int(line.removeprefix("id: "))] if line.startswith("id: ") else []
            if last in ids:
                break
    return ids


async def test_only_what_was_subscribed_to_is_sent_after_the_number_given(conversation_url: str, client: Sdk) -> None:
    async with followed(client, "steps") as thread:
        await thread.run.start(input=STEPS)
        events = await _events(thread)
        values = [event["seq"] for event in events if event["method"] == "values"]
        assert await _values_after(values[1], conversation_url, thread.thread_id, values[-1]) == values[2:]


@pytest.mark.parametrize(
    ("method", "params", "said"),
    [
        ("run.start", {"input": {}}, r"\[invalid_argument\]: assistant_id: Field required"),
        ("run.start", {"assistant_id": "nobody"}, r"\[invalid_argument\]: .*Known: talk"),
        ("input.respond", {"interrupt_id": "0" * 32, "response": 1}, r"\[no_such_interrupt\]"),
        ("input.respond", {"interrupt_id": "mine", "response": 1}, r"\[invalid_argument\]: interrupt_id"),
        ("state.get", {}, r"\[not_supported\]: .*GET /threads"),
        ("run.stop", {}, r"\[unknown_command\]"),
    ],
)
async def test_a_command_that_cannot_be_says_why(client: Sdk, method: str, params: dict[str, Any], said: str) -> None:
    async with followed(client, "steps", await new_thread(client)) as thread:
        with pytest.raises(RuntimeError, match=f"Protocol error {said}"):
            await thread._send_command(method, params)


async def test_a_thread_that_is_not_there_cannot_be_followed(conversation_url: str, client: Sdk) -> None:
    async with httpx.AsyncClient(base_url=conversation_url) as http:
        answer = await http.post("/threads/nowhere/stream/events", json={"channels": ["values"]})
        assert answer.status_code == 404
        assert (await http.get("/threads/nowhere/stream")).status_code == 404


async def _joined(client: Sdk, thread_id: str, until: str, **options: Any) -> list[Any]:
    found: list[Any] = []
    async for part in await client.threads.join_stream(thread_id, **options):
        found.append(part)
        if until in {part.event, isinstance(part.data, dict) and part.data.get("status")}:
            break
    return found


async def _joining(client: Sdk, thread_id: str, until: str, **options: Any) -> asyncio.Task[list[Any]]:
    """The same, once the answer has begun: it shows what happens from then on."""
    begun = asyncio.Event()

    async def note(answer: httpx.Response) -> None:
        if answer.url.path.endswith("/stream"):
            begun.set()

    client.http.client.event_hooks = {"response": [note]}
    joined = asyncio.create_task(_joined(client, thread_id, until, **options))
    await begun.wait()
    return joined


async def test_a_joined_thread_shows_the_runs_that_begin_on_it_and_goes_on_where_it_was_left(client: Sdk) -> None:
    thread_id = await new_thread(client)
    joined = await _joining(client, thread_id, "run_done")
    run = await client.runs.create(thread_id, "steps", input=STEPS, stream_mode="updates")
    parts = await joined
    assert [part.event for part in parts] == ["metadata", *["updates"] * 3, "metadata"]
    assert parts[-1].data == {"status": "run_done", "run_id": run["run_id"]}
    again = await _joined(client, thread_id, "run_done", last_event_id=parts[1].id)
    assert [part.data for part in again] == [part.data for part in parts[2:]]
    begins = await _joined(
        client, thread_id, "run_done", last_event_id=f"{parts[0].id.split('-')[0]}-0", stream_mode="lifecycle"
    )
    assert [part.data for part in begins] == [parts[0].data, parts[-1].data]


async def test_a_joined_thread_tells_of_changes_by_hand(client: Sdk) -> None:
    thread_id = await new_thread(client)
    await client.runs.wait(thread_id, "steps", input=STEPS)
    joined = await _joining(client, thread_id, "state_update", stream_mode="state_update")
    await client.threads.update_state(thread_id, {"steps": ["by hand"]}, as_node="last")
    [part] = await joined
    assert part.data["state"]["values"]["steps"] == [*WALKED, "by hand"]


async def test_what_one_process_executes_is_followed_in_another_and_taken_up_again_in_the_first(
    services: Services, database_url: str
) -> None:
    """A thread's stream asks nobody who executes: a load balancer may send each of its requests elsewhere."""
    shared = {"config": CONVERSATION, "database_url": database_url}
    api, worker = (services.start(role, role=role, **shared) for role in ("api", "all"))
    here: Sdk
    there: Sdk
    async with get_client(url=api.url, api_key=None) as here, get_client(url=worker.url, api_key=None) as there:
        thread_id = await new_thread(here)
        joined = await _joining(here, thread_id, "run_done")
        run = await here.runs.create(thread_id, "steps", input=STEPS, stream_mode="updates")
        parts = await joined
        assert [part.event for part in parts] == ["metadata", *["updates"] * 3, "metadata"]
        assert parts[-1].data["run_id"] == run["run_id"]
        again = await _joined(there, thread_id, "run_done", last_event_id=parts[1].id)
        assert [(part.id, part.data) for part in again] == [(part.id, part.data) for part in parts[2:]]

        async with followed(here, "steps", thread_id) as thread:
            await thread.run.start(input=STEPS)
            values = [event["seq"] for event in await _events(thread) if event["method"] == "values"]
        assert await _values_after(values[0], worker.url, thread_id, values[-1]) == values[1:]
