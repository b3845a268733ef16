"""Threads and their states, through the real langgraph-sdk."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

from tests.service.projects.conversation.conversation import ANSWER
from tests.service.sdk import Sdk

pytestmark = pytest.mark.anyio

HELLO = {"messages": [{"role": "user", "content": "what is the weather like?"}]}


async def talked(sdk: Sdk, **metadata: str) -> str:
    """A thread after one run of `talk`."""
    thread_id = (await sdk.threads.create(metadata=metadata))["thread_id"]
    await sdk.runs.wait(thread_id, "talk", input=HELLO)
    return thread_id


async def test_a_new_thread_is_idle_and_has_no_values(sdk: Sdk) -> None:
    made = await sdk.threads.create(metadata={"user": "ada"})
    assert (made["status"], made["values"], made["interrupts"]) == ("idle", None, {})
    assert made["metadata"] == {"user": "ada"}
    assert await sdk.threads.get(made["thread_id"]) == made


async def test_an_id_is_taken_once_unless_the_present_thread_will_do(sdk: Sdk) -> None:
    thread_id = str(uuid4())
    made = await sdk.threads.create(thread_id=thread_id, metadata={"first": True})
    with pytest.raises(ConflictError, match="if_exists=do_nothing"):
        await sdk.threads.create(thread_id=thread_id)
    assert await sdk.threads.create(thread_id=thread_id, if_exists="do_nothing", metadata={"second": True}) == made


async def test_metadata_grows_key_by_key_and_a_minimal_answer_has_no_body(sdk: Sdk) -> None:
    thread_id = (await sdk.threads.create(metadata={"a": 1, "b": 1}))["thread_id"]
    changed = await sdk.threads.update(thread_id, metadata={"b": 2, "c": [3]})
    assert changed["metadata"] == {"a": 1, "b": 2, "c": [3]}
    assert await sdk.threads.update(thread_id, metadata={"d": 4}, return_minimal=True) is None
    assert (await sdk.threads.get(thread_id))["metadata"] == {"a": 1, "b": 2, "c": [3], "d": 4}


async def test_a_time_to_live_is_in_minutes_from_the_last_change(sdk: Sdk) -> None:
    made = await sdk.threads.create(ttl=90)
    assert made["ttl"]["ttl_minutes"] == 90
    assert datetime.fromisoformat(made["ttl"]["expires_at"]) == datetime.fromisoformat(made["updated_at"]) + timedelta(
        minutes=90
    )
    changed = await sdk.threads.update(made["thread_id"], metadata={}, ttl={"ttl": 5, "strategy": "delete"})
    assert changed["ttl"]["ttl_minutes"] == 5


async def test_deleting_a_thread_erases_its_runs_and_states(sdk: Sdk) -> None:
    thread_id = await talked(sdk)
    await sdk.threads.delete(thread_id)
    for asked in (
        sdk.threads.get(thread_id),
        sdk.threads.get_state(thread_id),
        sdk.threads.get_history(thread_id),
        sdk.runs.list(thread_id),
        sdk.threads.delete(thread_id),
    ):
        with pytest.raises(NotFoundError, match="no such thread"):
            await asked
    again = await sdk.threads.create(thread_id=thread_id, graph_id="talk")
    assert again["values"] is None


async def test_a_search_finds_by_metadata_status_and_id_newest_change_first(sdk: Sdk) -> None:
    mark = str(uuid4())
    first, second = await talked(sdk, mark=mark), await talked(sdk, mark=mark)
    asking = (await sdk.threads.create(metadata={"mark": mark}))["thread_id"]
    await sdk.runs.wait(asking, "survey", input={"answers": []})

    async def ids(**asked: Any) -> list[str]:
        return [thread["thread_id"] for thread in await sdk.threads.search(**asked)]

    wanted = {"mark": mark}
    assert await ids(metadata=wanted) == [asking, second, first]
    assert await ids(metadata=wanted, sort_by="created_at", sort_order="asc") == [first, second, asking]
    assert await ids(metadata=wanted, limit=1, offset=1) == [second]
    assert await ids(metadata=wanted, status="interrupted") == [asking]
    assert await ids(metadata=wanted, ids=[first, str(uuid4())]) == [first]
    assert await ids(metadata=wanted | {"graph_id": "talk"}) == [second, first]
    survey = (await sdk.assistants.get("survey"))["assistant_id"]
    assert await ids(metadata=wanted | {"assistant_id": survey}) == [asking]
    assert await sdk.threads.count(metadata=wanted) == 3
    assert await sdk.threads.count(metadata=wanted, status="idle") == 2


async def test_rows_of_a_search_carry_values_and_open_questions(sdk: Sdk) -> None:
    mark = str(uuid4())
    await talked(sdk, mark=mark)
    asking = (await sdk.threads.create(metadata={"mark": mark}))["thread_id"]
    await sdk.runs.wait(asking, "survey", input={"answers": []})
    questioned, answered = await sdk.threads.search(metadata={"mark": mark})

    assert (answered["values"] or {})["messages"][-1]["content"] == ANSWER
    assert answered["interrupts"] == {}
    [task] = (await sdk.threads.get_state(asking))["tasks"]
    assert questioned["interrupts"] == {task["id"]: task["interrupts"]}
    assert [question["value"] for question in task["interrupts"]] == ["your name?"]
    assert questioned == await sdk.threads.get(asking)


async def test_a_search_gives_the_fields_and_the_parts_of_values_that_are_asked_for(sdk: Sdk) -> None:
    mark = str(uuid4())
    thread_id = await talked(sdk, mark=mark)
    assert await sdk.threads.search(metadata={"mark": mark}, select=["thread_id", "status"]) == [
        {"thread_id": thread_id, "status": "idle"}
    ]
    [found] = await sdk.threads.search(
        metadata={"mark": mark},
        select=["thread_id"],
        extract={"last": "values.messages[-1].content", "mark": "metadata.mark", "none": "values.messages[9].id"},
    )
    assert found == {"thread_id": thread_id, "extracted": {"last": ANSWER, "mark": mark, "none": None}}


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"offset": -1}, "offset"),
        ({"status": "sleeping"}, "status"),
        ({"sort_by": "metadata; DROP TABLE threads"}, "sort_by"),
        ({"ids": ["not an id"]}, "ids"),
        ({"metadata": {"a": "\0"}}, "metadata"),
        ({"extract": {"a": "thread_id"}}, "extract"),
        ({"extract": {str(number): "values" for number in range(11)}}, "extract"),
        ({"select": ["password"]}, "select"),
    ],
)
async def test_a_search_that_cannot_be_done_says_which_field_is_wrong(
    sdk: Sdk, asked: dict[str, Any], field: str
) -> None:
    with pytest.raises(UnprocessableEntityError, match=field):
        await sdk.threads.search(**asked)


async def test_a_search_by_values_looks_into_the_states(sdk: Sdk) -> None:
    mark = {"mark": str(uuid4())}
    talking, asking = await talked(sdk, **mark), (await sdk.threads.create(metadata=mark))["thread_id"]
    await sdk.runs.wait(asking, "survey", input={"answers": ["one"]})
    said = {"messages": [{"type": "ai", "content": ANSWER}]}
    for values, expected in (({"answers": ["one"]}, [asking]), (said, [talking]), ({"answers": ["two"]}, [])):
        found = await sdk.threads.search(metadata=mark, values=values)
        assert [thread["thread_id"] for thread in found] == expected
        assert await sdk.threads.count(metadata=mark, values=values) == len(expected)
    assert await sdk.threads.search(metadata=mark, values={"answers": ["one"]}, offset=1) == []


async def test_a_copy_has_the_history_and_goes_its_own_way(sdk: Sdk) -> None:
    thread_id = (await sdk.threads.create(metadata={"user": "ada"}))["thread_id"]
    await sdk.runs.wait(thread_id, "survey", input={"answers": []})
    copied = await sdk.threads.copy(thread_id)
    assert (copied["metadata"]["user"], copied["status"]) == ("ada", "interrupted")
    assert len(await sdk.threads.get_history(copied["thread_id"])) == len(await sdk.threads.get_history(thread_id))
    answered = await sdk.runs.wait(copied["thread_id"], "survey", command={"resume": "Ada"})
    assert answered["answers"] == ["prepared", "name Ada"]
    assert (await sdk.threads.get_state(thread_id))["values"] == {"answers": ["prepared"]}
    with pytest.raises(NotFoundError, match="no such thread"):
        await sdk.threads.copy(str(uuid4()))


async def test_a_prune_deletes_threads_or_keeps_their_newest_state(sdk: Sdk) -> None:
    first, second = await talked(sdk), await talked(sdk)
    before = await sdk.threads.get_state(first)
    assert await sdk.threads.prune([first, str(uuid4())], strategy="keep_latest") == {"pruned_count": 1}
    assert (await sdk.threads.get_state(first))["values"] == before["values"]
    assert len(await sdk.threads.get_history(first)) == 1
    assert await sdk.threads.prune([first, second]) == {"pruned_count": 2}
    assert await sdk.threads.search(ids=[first, second]) == []


async def test_a_thread_is_made_with_a_state_that_was_reached_elsewhere(sdk: Sdk) -> None:
    source = (await sdk.threads.create())["thread_id"]
    await sdk.runs.wait(source, "survey", input={"answers": ["begun"]})
    steps: list[dict[str, Any]] = [
        {"updates": [{"values": {"answers": ["begun"]}, "as_node": "__start__"}]},
        {"updates": [{"values": {"answers": ["prepared"]}, "as_node": "prepare"}]},
        {"updates": [{"values": None, "command": {"update": {"answers": ["name Ada"]}}, "as_node": "ask_name"}]},
    ]
    made = await sdk.threads.create(graph_id="survey", supersteps=steps)
    state = await sdk.threads.get_state(made["thread_id"])
    assert (state["values"], state["next"]) == ({"answers": ["begun", "prepared", "name Ada"]}, ["ask_age"])
    thread_id = str(uuid4())
    with pytest.raises(UnprocessableEntityError, match="as_node"):
        await sdk.threads.create(
            thread_id=thread_id,
            graph_id="survey",
            supersteps=[{"updates": [{"values": {}, "as_node": "nobody"}]}],
        )
    with pytest.raises(NotFoundError):
        await sdk.threads.get(thread_id)
    with pytest.raises(UnprocessableEntityError, match="supersteps"):
        await sdk.threads.create(supersteps=steps)


@pytest.mark.parametrize("thread_id", ["a b", "x" * 129, "'; DROP TABLE threads; --", "a\0b"])
async def test_what_cannot_be_a_thread_id_is_told_from_an_unknown_one(sdk: Sdk, thread_id: str) -> None:
    with pytest.raises(UnprocessableEntityError, match="thread_id"):
        await sdk.threads.get(thread_id)
    with pytest.raises(UnprocessableEntityError, match="thread_id"):
        await sdk.threads.create(thread_id=thread_id)


async def test_a_thread_can_be_bound_to_a_graph_and_filled_before_its_first_run(sdk: Sdk) -> None:
    thread_id = (await sdk.threads.create(graph_id="survey"))["thread_id"]
    empty = await sdk.threads.get_state(thread_id)
    assert (empty["values"], empty["next"], empty["checkpoint"]["checkpoint_id"]) == ({}, [], None)

    await sdk.threads.update_state(thread_id, {"answers": ["by hand"]}, as_node="prepare")
    state = await sdk.threads.get_state(thread_id)
    assert (state["values"], state["next"]) == ({"answers": ["by hand"]}, ["ask_name"])
    with pytest.raises(NotFoundError, match="nobody"):
        await sdk.threads.create(graph_id="nobody")


async def test_a_thread_without_a_graph_takes_no_values(sdk: Sdk) -> None:
    thread_id = (await sdk.threads.create())["thread_id"]
    assert await sdk.threads.get_history(thread_id) == []
    with pytest.raises(ConflictError, match="has no graph yet"):
        await sdk.threads.update_state(thread_id, {"answers": []})


async def test_the_history_goes_back_to_the_input_and_each_state_names_its_parent(sdk: Sdk) -> None:
    thread_id = await talked(sdk)
    history = await sdk.threads.get_history(thread_id)
    assert [state["next"] for state in history] == [[], ["answer"], ["look_outside"], ["__start__"]]
    assert history[0] == await sdk.threads.get_state(thread_id)
    for newer, older in pairwise(history):
        assert newer["parent_checkpoint"] == older["checkpoint"]
    assert history[-1]["parent_checkpoint"] is None


async def test_the_history_is_read_in_pages_and_filtered_by_metadata(sdk: Sdk) -> None:
    thread_id = await talked(sdk)
    whole = await sdk.threads.get_history(thread_id)
    assert await sdk.threads.get_history(thread_id, limit=2) == whole[:2]
    before = whole[1]["checkpoint"]
    assert await sdk.threads.get_history(thread_id, before=before) == whole[2:]
    assert await sdk.threads.get_history(thread_id, before=before["checkpoint_id"]) == whole[2:]
    assert await sdk.threads.get_history(thread_id, metadata={"source": "input"}) == whole[-1:]
    assert await sdk.threads.get_history(thread_id, limit=1, select=["next", "values.messages"]) == [
        {"next": [], "values": whole[0]["values"]}
    ]
    with pytest.raises(NotFoundError, match="no such checkpoint"):
        await sdk.threads.get_history(thread_id, before=str(uuid4()))
    with pytest.raises(UnprocessableEntityError, match="limit"):
        await sdk.threads.get_history(thread_id, limit=-5)


async def test_an_earlier_state_is_read_by_its_checkpoint_or_by_its_bare_id(sdk: Sdk) -> None:
    thread_id = await talked(sdk)
    earlier = (await sdk.threads.get_history(thread_id))[2]
    assert await sdk.threads.get_state(thread_id, checkpoint=earlier["checkpoint"]) == earlier
    assert await sdk.threads.get_state(thread_id, checkpoint_id=earlier["checkpoint"]["checkpoint_id"]) == earlier
    only_thread = {"thread_id": thread_id}
    assert await sdk.threads.get_state(thread_id, checkpoint=only_thread) == await sdk.threads.get_state(thread_id)
    assert await sdk.threads.get_state(thread_id, select=["next"]) == {"next": []}
    for unknown in ("nothing", str(uuid4())):
        with pytest.raises(NotFoundError, match="no such checkpoint"):
            await sdk.threads.get_state(thread_id, checkpoint_id=unknown)
    with pytest.raises(UnprocessableEntityError, match="checkpoint_id"):
        await sdk.threads.get_state(thread_id, checkpoint_id="' OR 1=1 --")


async def test_an_update_goes_on_from_the_newest_state_and_a_fork_from_an_older_one(sdk: Sdk) -> None:
    thread_id = (await sdk.threads.create())["thread_id"]
    await sdk.runs.wait(thread_id, "survey", input={"answers": ["begun"]})
    prepared = await sdk.threads.get_state(thread_id)
    assert prepared["next"] == ["ask_name"]

    made = await sdk.threads.update_state(thread_id, {"answers": ["name by hand"]}, as_node="ask_name")
    now = await sdk.threads.get_state(thread_id)
    assert now["checkpoint"] == made["checkpoint"]
    assert now["values"] == {"answers": ["begun", "prepared", "name by hand"]}
    assert (now["next"], now["parent_checkpoint"]) == (["ask_age"], prepared["checkpoint"])

    fork = await sdk.threads.update_state(
        thread_id, {"answers": ["other name"]}, as_node="ask_name", checkpoint=prepared["checkpoint"]
    )
    now = await sdk.threads.get_state(thread_id)
    assert now["checkpoint"] == fork["checkpoint"]
    assert now["values"] == {"answers": ["begun", "prepared", "other name"]}
    assert now["parent_checkpoint"] == prepared["checkpoint"]
    assert (await sdk.threads.get(thread_id))["status"] == "interrupted"


@pytest.mark.parametrize(
    "update",
    [
        {"values": {"messages": []}, "as_node": "nobody"},
        {"values": {"messages": 5}},
        {"values": {"messages": [{"role": "wizard", "content": "x"}]}},
        {"values": 5},
        {"values": [1, 2]},
        {"values": {"messages": [{"role": "user", "content": "a\0b"}]}},
        {"values": {"messages": []}, "checkpoint": {"checkpoint_ns": "nowhere"}},
        {"values": None, "as_node": "__end__", "checkpoint": {"checkpoint_ns": "nowhere:1"}},
    ],
)
async def test_an_update_the_graph_cannot_take_is_refused_and_changes_nothing(sdk: Sdk, update: dict[str, Any]) -> None:
    thread_id = await talked(sdk)
    before = await sdk.threads.get_history(thread_id)
    with pytest.raises(UnprocessableEntityError):
        await sdk.threads.update_state(thread_id, **update)
    assert await sdk.threads.get_history(thread_id) == before


async def test_an_update_at_an_unknown_checkpoint_is_not_found(sdk: Sdk) -> None:
    thread_id = await talked(sdk)
    with pytest.raises(NotFoundError, match="no such checkpoint"):
        await sdk.threads.update_state(thread_id, {"messages": []}, checkpoint_id=str(uuid4()))


async def test_the_state_of_a_subgraph_that_asks_is_inside_its_task(sdk: Sdk) -> None:
    thread_id = (await sdk.threads.create())["thread_id"]
    await sdk.runs.wait(thread_id, "nested", input={"answers": []})
    [outside] = (await sdk.threads.get_state(thread_id))["tasks"]
    assert (outside["name"], outside["state"]) == ("inner", None)
    where = outside["checkpoint"]
    assert where is not None
    assert where["checkpoint_ns"].startswith("inner:")

    [inside] = (await sdk.threads.get_state(thread_id, subgraphs=True))["tasks"]
    inner = inside["state"]
    assert inner is not None
    assert (inner["values"], inner["next"]) == ({"answers": ["prepared"]}, ["ask_name"])
    assert await sdk.threads.get_state(thread_id, checkpoint=where) == inner
    assert inner in await sdk.threads.get_history(thread_id, checkpoint=where)
