"""What a run's stream shows in each mode, and how it is taken up again, through the real langgraph-sdk."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk.errors import NotFoundError, UnprocessableEntityError

from tests.service.projects.conversation.conversation import ANSWER
from tests.service.sdk import Sdk, collected, data_of, held, new_thread

pytestmark = pytest.mark.anyio

HELLO = {"messages": [{"role": "user", "content": "what is the weather like?"}]}
NOBODY: dict[str, Any] = {"answers": []}


async def test_a_stream_begins_with_the_runs_id_and_ends_with_end(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    parts = await collected(sdk.runs.stream(thread_id, "talk", input=HELLO))
    [run] = await sdk.runs.list(thread_id)
    assert (parts[0].event, parts[0].data["run_id"]) == ("metadata", run["run_id"])
    assert parts[-1].event == "end"
    assert [part.id for part in parts[:-1]] == [str(number) for number in range(1, len(parts))]


async def test_values_are_the_whole_state_after_each_step_that_changed_it(sdk: Sdk) -> None:
    parts = await collected(sdk.runs.stream(await new_thread(sdk), "talk", input=HELLO, stream_mode="values"))
    states = data_of(parts, "values")
    assert [[message["content"] for message in state["messages"]][1:] for state in states] == [[], [ANSWER]]


async def test_updates_are_what_each_node_returned(sdk: Sdk) -> None:
    parts = await collected(sdk.runs.stream(await new_thread(sdk), "talk", input=HELLO, stream_mode="updates"))
    looked, answered = data_of(parts, "updates")
    assert looked == {"look_outside": None}
    assert answered["answer"]["messages"][0]["content"] == ANSWER


async def test_custom_parts_are_what_a_node_writes(sdk: Sdk) -> None:
    parts = await collected(sdk.runs.stream(await new_thread(sdk), "talk", input=HELLO, stream_mode="custom"))
    assert data_of(parts, "custom") == [{"looking": "up"}, {"looking": "down"}]


async def test_message_tuples_are_the_tokens_with_their_node(sdk: Sdk) -> None:
    parts = await collected(sdk.runs.stream(await new_thread(sdk), "talk", input=HELLO, stream_mode="messages-tuple"))
    tokens = data_of(parts, "messages")
    assert "".join(token["content"] for token, _ in tokens) == ANSWER
    assert len(tokens) > len(ANSWER.split())
    assert {metadata["langgraph_node"] for _, metadata in tokens} == {"answer"}
    assert {token["type"] for token, _ in tokens} == {"AIMessageChunk"}


async def test_messages_grow_token_by_token(sdk: Sdk) -> None:
    parts = await collected(sdk.runs.stream(await new_thread(sdk), "talk", input=HELLO, stream_mode="messages"))
    [about] = data_of(parts, "messages/metadata")
    [message_id] = about
    assert about[message_id]["metadata"]["langgraph_node"] == "answer"
    partial = [message for [message] in data_of(parts, "messages/partial")]
    assert {message["id"] for message in partial} == {message_id}
    texts = [message["content"] for message in partial]
    assert texts == sorted(texts, key=len)
    assert texts[-1] == ANSWER


async def test_several_modes_share_one_stream_in_the_order_of_what_happened(sdk: Sdk) -> None:
    modes = ["updates", "custom", "messages-tuple", "values", "tasks", "checkpoints"]
    parts = await collected(sdk.runs.stream(await new_thread(sdk), "talk", input=HELLO, stream_mode=modes))
    events = [part.event for part in parts]
    assert {*modes, "metadata", "messages", "end"} - {"messages-tuple"} == set(events)
    assert events.index("custom") < events.index("messages") < events.index("updates", events.index("messages"))
    only = [(part.event, part.data) for part in parts if part.event == "custom"]
    assert only == [("custom", {"looking": "up"}), ("custom", {"looking": "down"})]


async def test_events_are_those_of_all_that_the_graph_calls_beside_its_own_modes(sdk: Sdk) -> None:
    modes = ["events", "updates"]
    parts = await collected(sdk.runs.stream(await new_thread(sdk), "talk", input=HELLO, stream_mode=modes))
    events = data_of(parts, "events")
    assert {"on_chain_start", "on_chat_model_stream", "on_chain_end"} <= {event["event"] for event in events}
    tokens = [event["data"]["chunk"]["content"] for event in events if event["event"] == "on_chat_model_stream"]
    assert "".join(tokens) == ANSWER
    assert [list(update) for update in data_of(parts, "updates")] == [["look_outside"], ["answer"]]
    failed = await collected(
        sdk.runs.stream(await new_thread(sdk), "steps", input={"fail": True}, stream_mode="events")
    )
    assert [part.event for part in failed][-2:] == ["error", "end"]
    asked = await sdk.runs.create(await new_thread(sdk), "survey", input=NOBODY, stream_mode="events")
    await sdk.runs.join(asked["thread_id"], asked["run_id"])
    assert (await sdk.runs.get(asked["thread_id"], asked["run_id"]))["status"] == "interrupted"


async def test_subgraphs_say_where_they_are_in_the_events_name(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    parts = await collected(
        sdk.runs.stream(thread_id, "nested", input=NOBODY, stream_mode=["updates"], stream_subgraphs=True)
    )
    inside = [part for part in parts if part.event.startswith("updates|inner:")]
    assert inside[0].data == {"prepare": {"answers": ["prepared"]}}
    without = await collected(sdk.runs.stream(await new_thread(sdk), "nested", input=NOBODY, stream_mode="updates"))
    assert not [part for part in without if "|" in part.event]


async def test_the_second_version_of_parts_names_type_namespace_and_questions(sdk: Sdk) -> None:
    parts = await collected(
        sdk.runs.stream(
            await new_thread(sdk), "nested", input=NOBODY, stream_mode=["values"], stream_subgraphs=True, version="v2"
        )
    )
    assert {part["type"] for part in parts} == {"metadata", "values"}
    assert any(part["ns"] and part["ns"][0].startswith("inner:") for part in parts)
    [*_, last] = [part for part in parts if not part["ns"]]
    assert [question["value"] for question in last["interrupts"]] == ["your name?"]


async def test_a_mode_nobody_knows_is_refused_with_those_there_are(sdk: Sdk) -> None:
    mode = "everything"
    with pytest.raises(UnprocessableEntityError, match=r"stream_mode.*'values', 'updates'"):
        await collected(sdk.runs.stream(await new_thread(sdk), "talk", input=HELLO, stream_mode=mode))


async def test_feedback_needs_langsmith_and_is_refused(sdk: Sdk) -> None:
    with pytest.raises(UnprocessableEntityError, match="feedback_keys: is not supported"):
        await collected(sdk.runs.stream(await new_thread(sdk), "talk", input=HELLO, feedback_keys=["liked"]))


async def test_a_run_that_fails_ends_its_stream_with_an_error(sdk: Sdk) -> None:
    broken = {"fail": True}
    parts = await collected(sdk.runs.stream(await new_thread(sdk), "steps", input=broken, stream_mode="updates"))
    assert [part.event for part in parts] == ["metadata", "updates", "error", "end"]
    assert parts[2].data["error"] == "run_failed"
    assert "words of a user" not in str(parts)


async def test_a_finished_run_can_be_streamed_again_whole_or_after_any_event(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    modes = ["updates", "custom"]
    first = await collected(sdk.runs.stream(thread_id, "talk", input=HELLO, stream_mode=modes))
    run_id = first[0].data["run_id"]
    assert await collected(sdk.runs.join_stream(thread_id, run_id)) == first
    for seen in range(1, len(first)):
        rest = await collected(sdk.runs.join_stream(thread_id, run_id, last_event_id=str(seen)))
        assert [part[:2] for part in rest] == [part[:2] for part in first[seen:]]


async def test_a_joined_stream_shows_only_the_modes_asked_for(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    modes = ["updates", "custom", "messages-tuple"]
    first = await collected(sdk.runs.stream(thread_id, "talk", input=HELLO, stream_mode=modes))
    run_id = first[0].data["run_id"]
    for mode, event in (("custom", "custom"), ("messages-tuple", "messages")):
        asked = mode
        again = await collected(sdk.runs.join_stream(thread_id, run_id, stream_mode=asked))
        assert [part.event for part in again if part.event not in {"metadata", "end"}] == [event] * len(
            data_of(first, event)
        )


async def test_a_background_run_can_be_followed_by_many_at_once(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    run = await sdk.runs.create(thread_id, "talk", input=HELLO, stream_mode=["values", "custom"])
    one = await collected(sdk.runs.join_stream(thread_id, run["run_id"]))
    other = await collected(sdk.runs.join_stream(thread_id, run["run_id"]))
    assert one == other
    assert data_of(one, "custom") == [{"looking": "up"}, {"looking": "down"}]


async def test_a_run_in_progress_is_followed_from_where_a_client_left(sdk: Sdk, tmp_path: Path) -> None:
    thread_id = await new_thread(sdk)
    run = await sdk.runs.create(thread_id, "steps", input=held(tmp_path), stream_mode="updates")
    seen: list[Any] = []
    async for part in sdk.runs.join_stream(thread_id, run["run_id"]):
        seen.append(part)
        if part.event == "updates":
            break
    assert [part.event for part in seen] == ["metadata", "updates"]
    rest = asyncio.create_task(collected(sdk.runs.join_stream(thread_id, run["run_id"], last_event_id=seen[-1].id)))
    whole = asyncio.create_task(collected(sdk.runs.join_stream(thread_id, run["run_id"])))
    (tmp_path / "release").touch()
    assert data_of(await rest, "updates") == [{"middle": {"steps": ["middle"]}}, {"last": {"steps": ["last"]}}]
    assert [part[:2] for part in await whole] == [part[:2] for part in seen + await rest]


async def test_the_stream_of_an_unknown_run_is_not_found(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    with pytest.raises(NotFoundError, match="no such run"):
        await collected(sdk.runs.join_stream(thread_id, str(uuid4())))
    with pytest.raises(UnprocessableEntityError, match="run_id"):
        await collected(sdk.runs.join_stream(thread_id, "nonsense"))
    with pytest.raises(NotFoundError, match="no such thread"):
        await collected(sdk.runs.stream(str(uuid4()), "talk", input=HELLO))
