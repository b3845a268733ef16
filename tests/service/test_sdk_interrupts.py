"""Questions, their answers, breakpoints and time travel, through the real langgraph-sdk."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from langgraph_sdk.errors import APIStatusError, ConflictError, NotFoundError

from tests.service.sdk import Sdk, collected, data_of, new_thread

pytestmark = pytest.mark.anyio

NOBODY: dict[str, Any] = {"answers": []}


async def asked(sdk: Sdk, graph: str = "survey") -> str:
    """A thread that waits for a name."""
    thread_id = await new_thread(sdk)
    await sdk.runs.wait(thread_id, graph, input=NOBODY)
    return thread_id


async def test_a_question_interrupts_the_run_and_is_in_its_answer(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    values = await sdk.runs.wait(thread_id, "survey", input=NOBODY)
    [question] = values.pop("__interrupt__")
    assert (question["value"], values) == ("your name?", {"answers": ["prepared"]})
    [run] = await sdk.runs.list(thread_id)
    assert await sdk.runs.join(thread_id, run["run_id"]) == values | {"__interrupt__": [question]}
    thread = await sdk.threads.get(thread_id)
    assert (run["status"], thread["status"]) == ("interrupted", "interrupted")
    state = await sdk.threads.get_state(thread_id)
    assert [interrupt["id"] for interrupt in state["interrupts"]] == [question["id"]]
    assert (state["next"], state["tasks"][0]["name"]) == (["ask_name"], "ask_name")


async def test_a_stream_shows_the_question_in_values_and_in_updates(sdk: Sdk) -> None:
    parts = await collected(
        sdk.runs.stream(await new_thread(sdk), "survey", input=NOBODY, stream_mode=["values", "updates"])
    )
    [in_updates] = [part for part in data_of(parts, "updates") if "__interrupt__" in part]
    assert [question["value"] for question in in_updates["__interrupt__"]] == ["your name?"]
    last = data_of(parts, "values")[-1]
    assert last["__interrupt__"] == in_updates["__interrupt__"]
    assert last["answers"] == ["prepared"]


async def test_answers_lead_from_question_to_question_to_the_end(sdk: Sdk) -> None:
    thread_id = await asked(sdk)
    second = await sdk.runs.wait(thread_id, "survey", command={"resume": "Ada"})
    assert [question["value"] for question in second["__interrupt__"]] == [{"question": "your age?"}]
    end = await sdk.runs.wait(thread_id, "survey", command={"resume": 36})
    assert end == {"answers": ["prepared", "name Ada", "age 36"]}
    assert (await sdk.threads.get(thread_id))["status"] == "idle"


@pytest.mark.parametrize("answer", [False, 0, "", [], {"yes": True}])
async def test_any_json_is_an_answer(sdk: Sdk, answer: object) -> None:
    thread_id = await asked(sdk)
    values = await sdk.runs.wait(thread_id, "survey", command={"resume": answer})
    assert values["answers"][-1] == f"name {answer}"


async def test_a_second_answer_to_the_same_question_is_a_conflict(sdk: Sdk) -> None:
    thread_id = await asked(sdk)
    [question] = (await sdk.threads.get_state(thread_id))["interrupts"]
    await sdk.runs.wait(thread_id, "survey", command={"resume": {question["id"]: "Ada"}})
    with pytest.raises(ConflictError, match="no question"):
        await sdk.runs.create(thread_id, "survey", command={"resume": {question["id"]: "Grace"}})
    await sdk.runs.wait(thread_id, "survey", command={"resume": 36})
    for route in (sdk.runs.create, sdk.runs.wait):
        with pytest.raises(httpx.HTTPStatusError) as refused:
            await route(thread_id, "survey", command={"resume": "Grace"})
        assert refused.value.response.status_code == 409
    with pytest.raises(ConflictError):
        await collected(sdk.runs.stream(thread_id, "survey", command={"resume": "Grace"}))
    assert (await sdk.threads.get_state(thread_id))["values"]["answers"] == ["prepared", "name Ada", "age 36"]


async def test_of_answers_at_the_same_time_one_is_taken(sdk: Sdk) -> None:
    thread_id = await asked(sdk)
    names = ["Ada", "Grace", "Barbara", "Edith"]
    answers: list[Any] = await asyncio.gather(
        *(sdk.runs.create(thread_id, "survey", command={"resume": name}) for name in names), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, APIStatusError)]
    assert [answer.status_code for answer in refused] == [409] * (len(names) - 1)
    [(run, name)] = [(run, name) for run, name in zip(answers, names, strict=True) if run not in refused]
    await sdk.runs.join(thread_id, run["run_id"])
    assert (await sdk.threads.get_state(thread_id))["values"]["answers"] == ["prepared", f"name {name}"]


async def test_nobody_asked_nothing_is_answered(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    with pytest.raises(ConflictError, match="no question"):
        await sdk.runs.create(thread_id, "survey", command={"resume": "Ada"})
    with pytest.raises(ConflictError):
        await sdk.runs.create("never-made", "survey", command={"resume": "Ada"}, if_not_exists="create")
    with pytest.raises(NotFoundError):
        await sdk.threads.get("never-made")


async def test_two_questions_at_once_are_answered_by_their_ids_together_or_in_turn(sdk: Sdk) -> None:
    async def questions(thread_id: str) -> dict[str, str]:
        state = await sdk.threads.get_state(thread_id)
        return {task["name"]: interrupt["id"] for task in state["tasks"] for interrupt in task["interrupts"]}

    thread_id = await asked(sdk, "pair")
    ids = await questions(thread_id)
    together = {ids["ask_name"]: "Ada", ids["ask_age"]: 36}
    done = await sdk.runs.wait(thread_id, "pair", command={"resume": together})
    assert sorted(done["answers"]) == ["age 36", "name Ada"]

    thread_id = await asked(sdk, "pair")
    ids = await questions(thread_id)
    await sdk.runs.wait(thread_id, "pair", command={"resume": {ids["ask_age"]: 36}})
    assert await questions(thread_id) == {"ask_name": ids["ask_name"]}
    with pytest.raises(ConflictError, match=ids["ask_age"]):
        await sdk.runs.create(thread_id, "pair", command={"resume": {ids["ask_age"]: 37}})
    done = await sdk.runs.wait(thread_id, "pair", command={"resume": {ids["ask_name"]: "Ada"}})
    assert sorted(done["answers"]) == ["age 36", "name Ada"]


async def test_a_question_is_not_lost_beside_a_node_that_ends(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    parts = await collected(sdk.runs.stream(thread_id, "beside", input=NOBODY, stream_mode="values"))
    last = data_of(parts, "values")[-1]
    assert ([question["value"] for question in last["__interrupt__"]], last["answers"]) == (
        ["your name?"],
        ["prepared"],
    )
    [run] = await sdk.runs.list(thread_id)
    assert (await sdk.runs.join(thread_id, run["run_id"]))["__interrupt__"] == last["__interrupt__"]
    done = await sdk.runs.wait(thread_id, "beside", command={"resume": "Ada"})
    assert sorted(done["answers"]) == ["name Ada", "prepared"]


async def test_a_question_inside_a_subgraph_is_answered_from_outside(sdk: Sdk) -> None:
    thread_id = await asked(sdk, "nested")
    done = await sdk.runs.wait(thread_id, "nested", command={"resume": "Ada"})
    assert done["answers"][-1] == "finished"
    assert "name Ada" in done["answers"]


async def test_an_answer_may_change_the_state_too(sdk: Sdk) -> None:
    thread_id = await asked(sdk)
    values = await sdk.runs.wait(thread_id, "survey", command={"resume": "Ada", "update": {"answers": ["noted"]}})
    assert values["answers"] == ["prepared", "noted", "name Ada"]


async def test_a_command_may_name_the_next_node(sdk: Sdk) -> None:
    thread_id = await asked(sdk)
    values = await sdk.runs.wait(thread_id, "survey", command={"goto": "ask_age", "update": {"answers": ["jumped"]}})
    asking = [question["value"] for question in values["__interrupt__"]]
    assert {"question": "your age?"} in asking
    assert "jumped" in values["answers"]


async def test_a_run_stops_before_a_named_node_and_goes_on_without_input(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    values = await sdk.runs.wait(thread_id, "steps", input={"steps": []}, interrupt_before=["middle"])
    assert values["steps"] == ["first"]
    state = await sdk.threads.get_state(thread_id)
    assert (state["next"], (await sdk.threads.get(thread_id))["status"]) == (["middle"], "interrupted")
    assert (await sdk.runs.list(thread_id))[0]["status"] == "interrupted"
    values = await sdk.runs.wait(thread_id, "steps", input=None, interrupt_after=["middle"])
    assert values["steps"] == ["first", "middle"]
    parts = await collected(sdk.runs.stream(thread_id, "steps", input=None, stream_mode="updates"))
    assert data_of(parts, "updates") == [{"last": {"steps": ["last"]}}]
    assert (await sdk.threads.get(thread_id))["status"] == "idle"


async def test_a_star_stops_before_every_node(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    seen: list[list[str]] = []
    given: Any = {"steps": []}
    for _ in range(4):
        await sdk.runs.wait(thread_id, "steps", input=given, interrupt_before="*")
        seen.append((await sdk.threads.get_state(thread_id))["next"])
        given = None
    assert seen == [["first"], ["middle"], ["last"], []]


async def test_a_run_from_an_earlier_checkpoint_begins_a_branch(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    await sdk.runs.wait(thread_id, "steps", input={"steps": ["one"]})
    history = await sdk.threads.get_history(thread_id)
    before_last = next(state for state in history if state["next"] == ["last"])

    values = await sdk.runs.wait(thread_id, "steps", input=None, checkpoint=before_last["checkpoint"])
    assert values["steps"] == ["one", "first", "middle", "last"]
    newest = await sdk.threads.get_state(thread_id)
    assert newest["parent_checkpoint"]["checkpoint_id"] != history[0]["checkpoint"]["checkpoint_id"]
    assert len(await sdk.threads.get_history(thread_id)) > len(history)

    parts = await collected(
        sdk.runs.stream(
            thread_id,
            "steps",
            input={"steps": ["two"]},
            checkpoint_id=before_last["checkpoint"]["checkpoint_id"],
            stream_mode="values",
        )
    )
    assert data_of(parts, "values")[-1]["steps"] == ["one", "first", "middle", "two", "first", "middle", "last"]


async def test_a_question_answered_once_can_be_asked_again_from_its_checkpoint(sdk: Sdk) -> None:
    thread_id = await asked(sdk)
    question = (await sdk.threads.get_state(thread_id))["checkpoint"]
    await sdk.runs.wait(thread_id, "survey", command={"resume": "Ada"})

    await sdk.runs.wait(thread_id, "survey", input=None, checkpoint=question)
    assert (await sdk.threads.get_state(thread_id))["next"] == ["ask_name"]
    values = await sdk.runs.wait(thread_id, "survey", command={"resume": "Grace"})
    assert values["answers"] == ["prepared", "name Grace"]


async def test_a_run_from_an_unknown_checkpoint_is_not_accepted(sdk: Sdk) -> None:
    thread_id = await new_thread(sdk)
    await sdk.runs.wait(thread_id, "steps", input={"steps": ["one"]})
    nowhere = "1f0be6b5-9c7e-6c2e-8002-000000000000"
    for where in (
        {"checkpoint_id": nowhere},
        {"checkpoint": {"checkpoint_id": nowhere}},
        {"config": {"configurable": {"checkpoint_id": nowhere}}},
    ):
        with pytest.raises(NotFoundError, match="no such checkpoint"):
            await sdk.runs.create(thread_id, "steps", input={"steps": ["two"]}, **where)
    assert len(await sdk.runs.list(thread_id)) == 1
