"""Runs from their acceptance to their end, through the real langgraph-sdk."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError
from langgraph_sdk.schema import RunCreateMetadata

from tests.service.projects.conversation.conversation import ANSWER
from tests.service.sdk import Sdk, collected, data_of, held, new_thread
from tests.service.waiting import eventually

pytestmark = pytest.mark.anyio

HELLO = {"messages": [{"role": "user", "content": "what is the weather like?"}]}
STEPS: dict[str, Any] = {"steps": []}


async def id_of(sdk: Sdk, graph: str) -> str:
    return (await sdk.assistants.get(graph))["assistant_id"]


async def test_a_waited_run_answers_with_the_threads_values(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    values = await sdk.runs.wait(thread_id, "talk", input=HELLO)
    assert [message["type"] for message in values["messages"]] == ["human", "ai"]
    assert values["messages"][-1]["content"] == ANSWER
    assert (await sdk.threads.get_state(thread_id))["values"] == values


async def test_a_created_run_is_executed_without_anybody_waiting_and_joined_later(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    made = await sdk.runs.create(thread_id, "talk", input=HELLO, metadata={"user": "ada"})
    assert made["status"] in {"pending", "running"}
    assert (made["assistant_id"], made["metadata"]) == (await id_of(sdk, "talk"), {"user": "ada"})
    values = await sdk.runs.join(thread_id, made["run_id"])
    assert values["messages"][-1]["content"] == ANSWER
    ended = await sdk.runs.get(thread_id, made["run_id"])
    assert (ended["status"], ended["created_at"]) == ("success", made["created_at"])


async def test_the_answer_of_a_slow_run_comes_when_it_has_ended(sdk: Sdk, tmp_path: Path) -> None:
    thread_id = await new_thread(sdk)
    told: list[RunCreateMetadata] = []
    waiting = asyncio.create_task(sdk.runs.wait(thread_id, "steps", input=held(tmp_path), on_run_created=told.append))
    # The headers come long before the body, so that a client which loses the connection knows where to ask again.
    await eventually(lambda: told)
    joining = asyncio.create_task(sdk.runs.join(thread_id, told[0]["run_id"]))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    (tmp_path / "release").touch()
    for answer in (await waiting, await joining):
        assert answer["steps"] == ["first", "middle", "last"]


async def test_runs_are_listed_newest_first_by_status_and_page(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    for fail in (False, True, False):
        await sdk.runs.wait(thread_id, "steps", input={"fail": fail}, raise_error=False)
    listed = await sdk.runs.list(thread_id)
    assert [run["status"] for run in listed] == ["success", "error", "success"]
    assert [run["created_at"] for run in listed] == sorted((run["created_at"] for run in listed), reverse=True)
    assert await sdk.runs.list(thread_id, limit=1, offset=1) == listed[1:2]
    assert await sdk.runs.list(thread_id, status="error") == listed[1:2]


async def test_who_makes_a_run_learns_its_ids_from_any_of_the_three_ways(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    told: list[RunCreateMetadata] = []
    await sdk.runs.wait(thread_id, "steps", input=STEPS, on_run_created=told.append)
    await sdk.runs.create(thread_id, "steps", input=STEPS, on_run_created=told.append)
    await collected(sdk.runs.stream(thread_id, "steps", input=STEPS, on_run_created=told.append))
    assert [run["run_id"] for run in reversed(told)] == [run["run_id"] for run in await sdk.runs.list(thread_id)]
    assert {run.get("thread_id") for run in told} == {thread_id}


async def test_a_run_that_fails_says_so_and_leaves_the_thread_usable(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    broken = {"fail": True}
    with pytest.raises(Exception, match="run_failed: Graph 'steps' failed"):
        await sdk.runs.wait(thread_id, "steps", input=broken)
    failed = (await sdk.runs.list(thread_id))[0]
    assert (failed["status"], failed["error"]["error"]) == ("error", "run_failed")
    assert "words of a user" not in str(failed)
    assert (await sdk.threads.get(thread_id))["status"] == "error"
    values = await sdk.runs.wait(thread_id, "steps", input={"fail": False})
    assert values["steps"][-1] == "last"
    assert (await sdk.threads.get(thread_id))["status"] == "idle"


async def test_an_input_the_graph_cannot_take_fails_and_is_not_kept(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    with pytest.raises(Exception, match="invalid_input"):
        await sdk.runs.wait(thread_id, "talk", input={"messages": 5})
    with pytest.raises(Exception, match="It takes: messages"):
        await sdk.runs.wait(thread_id, "talk", input={"message": "hello"})
    assert (await sdk.threads.get_state(thread_id))["values"] == {}


async def test_a_thread_is_made_for_a_run_only_when_asked(sdk: Sdk) -> None:
    thread_id = str(uuid4())
    with pytest.raises(NotFoundError, match="no such thread"):
        await sdk.runs.create(thread_id, "steps", input=STEPS)
    with pytest.raises(NotFoundError, match="no such thread"):
        await sdk.runs.create(thread_id, "steps", input=STEPS, if_not_exists="reject")
    values = await sdk.runs.wait(thread_id, "steps", input=STEPS, if_not_exists="create")
    assert values["steps"] == ["first", "middle", "last"]
    found_by = {"graph_id": "steps", "assistant_id": await id_of(sdk, "steps")}
    assert (await sdk.threads.get(thread_id))["metadata"] == found_by


async def test_an_assistants_id_does_for_its_graphs_name(sdk: Sdk) -> None:
    assistant = await sdk.assistants.get("steps")
    values = await sdk.runs.wait(await new_thread(sdk), assistant["assistant_id"], input=STEPS)
    assert values["steps"] == ["first", "middle", "last"]
    with pytest.raises(NotFoundError, match="Known: talk"):
        await sdk.runs.create(await new_thread(sdk), "nobody", input=STEPS)


async def test_a_thread_stays_with_the_graph_that_wrote_it(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    await sdk.runs.wait(thread_id, "steps", input=STEPS)
    with pytest.raises(ConflictError, match="belongs to graph 'steps'"):
        await sdk.runs.create(thread_id, "talk", input=HELLO)


async def test_stateless_runs_have_threads_of_their_own(sdk: Sdk) -> None:
    waited = await sdk.runs.wait(None, "steps", input=STEPS)
    assert waited["steps"] == ["first", "middle", "last"]
    parts = await collected(sdk.runs.stream(None, "talk", input=HELLO, stream_mode="custom"))
    assert data_of(parts, "custom") == [{"looking": "up"}, {"looking": "down"}]
    one, other = [await sdk.runs.create(None, "steps", input=STEPS) for _ in range(2)]
    assert one["thread_id"] != other["thread_id"]
    joined = await sdk.runs.join(one["thread_id"], one["run_id"])
    assert joined["steps"] == ["first", "middle", "last"]


async def test_a_stateless_runs_thread_is_not_among_those_of_users(sdk: Sdk) -> None:
    made = await sdk.runs.create(None, "steps", input=STEPS)
    kept = await sdk.runs.create(None, "steps", input=STEPS, on_completion="keep")
    found = await sdk.threads.search(ids=[made["thread_id"], kept["thread_id"]])
    assert [thread["thread_id"] for thread in found] == [kept["thread_id"]]


async def test_context_and_configuration_reach_the_graph(sdk: Sdk) -> None:
    polite = {"polite": True}
    values = await sdk.runs.wait(await new_thread(sdk), "talk", input=HELLO, context=polite)
    assert values["messages"][-1]["content"] == ANSWER + " sir"
    config = {"configurable": {"user": "ada"}, "tags": ["a"], "recursion_limit": 2}
    with pytest.raises(Exception, match="recursion_limit: The run took more than 2 steps"):
        await sdk.runs.wait(await new_thread(sdk), "steps", input=STEPS, config=config)


async def test_the_services_own_step_limit_goes_before_a_larger_one(sdk: Sdk) -> None:
    endless = {"loop": True}
    with pytest.raises(Exception, match="recursion_limit: The run took more than 50 steps"):
        await sdk.runs.wait(await new_thread(sdk), "steps", input=endless, config={"recursion_limit": 1_000_000})


async def test_durability_decides_how_many_states_are_kept(sdk: Sdk) -> None:
    counts: dict[str, int] = {}
    for durability in ("sync", "async", "exit"):
        thread_id = await new_thread(sdk)
        await sdk.runs.wait(thread_id, "steps", input=STEPS, durability=durability)
        counts[durability] = len(await sdk.threads.get_history(thread_id))
    assert counts == {"sync": 5, "async": 5, "exit": 1}


async def test_a_repeated_request_with_its_key_gets_the_first_runs_answer(sdk: Sdk) -> None:
    thread_id, key = await new_thread(sdk), {"Idempotency-Key": str(uuid4())}
    first = await sdk.runs.create(thread_id, "steps", input=STEPS, headers=key)
    again = await sdk.runs.create(thread_id, "steps", input=STEPS, headers=key)
    assert again["run_id"] == first["run_id"]
    values = await sdk.runs.wait(thread_id, "steps", input=STEPS, headers=key)
    assert values["steps"] == ["first", "middle", "last"]
    assert len(await sdk.runs.list(thread_id)) == 1
    with pytest.raises(UnprocessableEntityError, match="belongs to another request"):
        await sdk.runs.create(thread_id, "steps", input={"steps": ["other"]}, headers=key)


async def test_a_delayed_run_starts_when_its_time_has_come(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    made = await sdk.runs.create(thread_id, "steps", input=STEPS, after_seconds=1)
    await asyncio.sleep(0.3)
    assert (await sdk.runs.get(thread_id, made["run_id"]))["status"] == "pending"
    values = await sdk.runs.join(thread_id, made["run_id"])
    assert values["steps"] == ["first", "middle", "last"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"input": {"text": "a\0b"}}, "input"),
        ({"input": 5}, "input"),
        ({"command": {"goto": [5]}}, "goto"),
        ({"command": {"goto": {"input": 1}}}, "goto"),
        ({"metadata": {"a": "\0"}}, "metadata"),
        ({"config": {"recursion_limit": "many"}}, "recursion_limit"),
        ({"config": {"recursion_limit": -1}}, "recursion_limit"),
        ({"config": {"configurable": {"a": "\0"}}}, "configurable"),
        ({"context": {"a": "\0"}}, "context"),
        ({"checkpoint": {"checkpoint_id": "' OR 1=1"}}, "checkpoint_id"),
        ({"checkpoint": {"checkpoint_ns": "a\0"}}, "checkpoint_ns"),
        ({"checkpoint_id": 5}, "checkpoint_id"),
        ({"multitask_strategy": "later"}, "multitask_strategy"),
        ({"durability": "often"}, "durability"),
        ({"after_seconds": -1}, "after_seconds"),
        ({"if_not_exists": "perhaps"}, "if_not_exists"),
        ({"interrupt_before": 5}, "interrupt_before"),
        ({"langsmith_tracing": {"project_name": "p"}}, "langsmith_tracer: is not supported"),
    ],
)
async def test_a_run_that_cannot_be_says_which_field_is_wrong(sdk: Sdk, asked: dict[str, Any], field: str) -> None:
    body = asked if {"input", "command"} & asked.keys() else {"input": STEPS, **asked}
    with pytest.raises(UnprocessableEntityError, match=field):
        await sdk.runs.create(str(uuid4()), "steps", **body)


async def taken_back(sdk: Sdk, run: dict[str, Any]) -> None:
    """Waits until the run is gone."""
    try:
        answer = await sdk.runs.join(run["thread_id"], run["run_id"])
    except httpx.HTTPStatusError as failure:  # NotFoundError is one; the synchronous join raises the plain kind
        if failure.response.status_code != 404:
            raise
        return
    assert answer["__error__"]["error"] == "rolled_back"


async def test_a_batch_is_accepted_whole_or_not_at_all(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    runs = [
        {"assistant_id": "steps", "input": STEPS, "thread_id": thread_id},
        {"assistant_id": "steps", "input": STEPS},
    ]
    on_thread, alone = await sdk.runs.create_batch(runs)
    assert on_thread["thread_id"] == thread_id != alone["thread_id"]
    await sdk.runs.join(thread_id, on_thread["run_id"])
    with pytest.raises(NotFoundError, match="Known: talk"):
        await sdk.runs.create_batch([*runs, {"assistant_id": "nobody"}])
    left = [run for run in await sdk.runs.list(thread_id) if run["run_id"] != on_thread["run_id"]]
    for run in left:
        await taken_back(sdk, run)


async def test_runs_are_cancelled_by_thread_by_id_or_all_of_ones_own(sdk: Sdk, tmp_path: Path) -> None:
    thread_id, other = await new_thread(sdk), await new_thread(sdk)
    running = await sdk.runs.create(thread_id, "steps", input=held(tmp_path))
    await eventually((tmp_path / "reached").exists)
    waiting = await sdk.runs.create(thread_id, "steps", input=STEPS)
    elsewhere = await sdk.runs.create(other, "steps", input=STEPS, after_seconds=60)

    async def statuses() -> list[str]:
        asked = ((thread_id, running), (thread_id, waiting), (other, elsewhere))
        return [(await sdk.runs.get(where, run["run_id"]))["status"] for where, run in asked]

    await sdk.runs.cancel_many(thread_id=thread_id, status="pending")
    assert await statuses() == ["running", "interrupted", "pending"]
    await sdk.runs.cancel_many(thread_id=other, run_ids=[elsewhere["run_id"]])
    assert await statuses() == ["running", "interrupted", "interrupted"]
    assert [run["run_id"] for run in await sdk.runs.list(other, status="interrupted")] == [elsewhere["run_id"]]
    await sdk.runs.cancel_many(thread_id=thread_id, action="rollback")
    await taken_back(sdk, running)
    with pytest.raises(NotFoundError, match="meets the conditions"):
        await sdk.runs.cancel_many(thread_id=thread_id)
    with pytest.raises(UnprocessableEntityError, match="thread_id, run_ids or status"):
        await sdk.runs.cancel_many()


async def test_a_run_in_progress_is_not_deleted_and_one_that_ended_leaves_its_state(sdk: Sdk, tmp_path: Path) -> None:
    thread_id = await new_thread(sdk)
    made = await sdk.runs.create(thread_id, "steps", input=held(tmp_path))
    with pytest.raises(ConflictError, match="Cancel it first"):
        await sdk.runs.delete(thread_id, made["run_id"])
    (tmp_path / "release").touch()
    values = await sdk.runs.join(thread_id, made["run_id"])
    await sdk.runs.delete(thread_id, made["run_id"])
    assert (await sdk.threads.get_state(thread_id))["values"] == values
    with pytest.raises(NotFoundError):
        await sdk.runs.delete(thread_id, made["run_id"])


@pytest.mark.parametrize("during", [True, False])
@pytest.mark.filterwarnings("ignore:.checkpoint_during. is deprecated")
async def test_older_clients_say_durability_by_checkpoint_during(sdk: Sdk, during: bool) -> None:
    thread_id = await new_thread(sdk)
    await sdk.runs.wait(thread_id, "steps", input=STEPS, checkpoint_during=during)
    assert len(await sdk.threads.get_history(thread_id)) == (5 if during else 1)


async def test_a_breakpoint_at_every_node_stops_before_or_after_each(sdk: Sdk) -> None:
    before, after = await new_thread(sdk), await new_thread(sdk)
    await sdk.runs.wait(before, "steps", input=STEPS, interrupt_before="*")
    await sdk.runs.wait(after, "steps", input=STEPS, interrupt_after="*")
    assert (await sdk.threads.get_state(before))["next"] == ["first"]
    assert (await sdk.threads.get_state(after))["next"] == ["middle"]


@pytest.mark.parametrize("way", ["stream", "wait", "join_stream"])
async def test_a_run_goes_on_without_its_client_unless_it_was_to_end_with_it(
    conversation_url: str, tmp_path: Path, way: str
) -> None:
    for on_disconnect in ("continue", "cancel"):
        folder = tmp_path / on_disconnect
        folder.mkdir()
        async with get_client(url=conversation_url, api_key=None) as client:
            sdk: Sdk = client
            thread_id = await new_thread(sdk)
            asked: dict[str, Any] = {"input": held(folder), "on_disconnect": on_disconnect}
            left: asyncio.Task[Any]
            if way == "wait":
                left = asyncio.create_task(sdk.runs.wait(thread_id, "steps", **asked))
            elif way == "stream":
                left = asyncio.create_task(collected(sdk.runs.stream(thread_id, "steps", **asked)))
            else:
                made = await sdk.runs.create(thread_id, "steps", input=held(folder))
                cancel = on_disconnect == "cancel"
                joined = sdk.runs.join_stream(thread_id, made["run_id"], cancel_on_disconnect=cancel)
                left = asyncio.create_task(collected(joined))
            await eventually((folder / "reached").exists)
            await asyncio.sleep(0.5)  # a short run is answered in one piece
            left.cancel()
            await asyncio.wait([left])
            if on_disconnect == "continue":
                await asyncio.sleep(0.3)
                (folder / "release").touch()
            [run] = await sdk.runs.list(thread_id)
            await sdk.runs.join(thread_id, run["run_id"])
            ended = await sdk.runs.get(thread_id, run["run_id"])
            assert ended["status"] == ("success" if on_disconnect == "continue" else "interrupted")
