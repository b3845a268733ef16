"""POST /workflow/execute and what a thread shows afterwards."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.application import STEPWISE, OpenClient
from tests.service.waiting import eventually

pytestmark = pytest.mark.anyio


def saying(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


async def execute(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post("/workflow/execute", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_question_is_answered_from_the_documentation_by_the_local_engine(client: httpx.AsyncClient) -> None:
    done = await execute(client, input=saying("How do I reset my password?"))
    answer = done["result"]["answer"]
    assert done["status"] == "success"
    assert answer["sources"][0]["id"] == "reset-password"
    assert answer["engine"] == {"provider": "local", "model": None, "llm": False, "instead_of": []}
    assert "Forgot password" in answer["text"]


async def test_without_a_thread_id_each_run_gets_a_thread_of_its_own(client: httpx.AsyncClient) -> None:
    one, other = await execute(client, input=saying("hello")), await execute(client, input=saying("hello"))
    assert one["thread_id"] != other["thread_id"]


async def test_a_repeated_key_gets_the_first_answer_and_on_another_thread_none(stepwise: httpx.AsyncClient) -> None:
    async def execute(**on: str) -> httpx.Response:
        key = {"idempotency-key": f"of {len(on)}"}
        return await stepwise.post("/workflow/execute", json={"input": {"steps": []}, **on}, headers=key)

    assert (await execute()).json()["run_id"] == (await execute()).json()["run_id"]
    assert (await execute(thread_id="one")).json()["run_id"] == (await execute(thread_id="one")).json()["run_id"]
    assert (await execute(thread_id="two")).json()["error"]["code"] == "idempotency_key_reused"


async def test_a_second_turn_continues_the_thread_and_keeps_nothing_of_the_first_answer(
    client: httpx.AsyncClient,
) -> None:
    await execute(client, thread_id="talk", input=saying("I hate this, it is the worst service ever!"))
    second = (await execute(client, thread_id="talk", input=saying("How do I connect GitHub?")))["result"]
    assert [message["type"] for message in second["messages"]] == ["human", "ai", "human", "ai"]
    assert second["escalation"] is None
    assert second["answer"]["sources"][0]["id"] == "integrations"


async def test_state_is_the_result_of_the_last_run(client: httpx.AsyncClient) -> None:
    done = await execute(client, thread_id="t", input=saying("hello"))
    state = (await client.get("/threads/t/state")).json()
    assert state["values"] == done["result"]
    assert (state["metadata"]["run_id"], state["next"]) == (done["run_id"], [])


async def test_history_pages_through_every_checkpoint_once(client: httpx.AsyncClient) -> None:
    await execute(client, thread_id="t", input=saying("hello"))
    whole = (await client.get("/threads/t/history", params={"limit": 100})).json()
    paged: list[str] = []
    before: str | None = None
    while True:
        query: dict[str, Any] = {"limit": 2} | ({"before": before} if before else {})
        page = (await client.get("/threads/t/history", params=query)).json()
        if not page:
            break
        paged += [state["checkpoint_id"] for state in page]
        before = paged[-1]
    assert paged == [state["checkpoint_id"] for state in whole]
    assert len(paged) > 4
    for newer, older in pairwise(whole):
        assert newer["parent_checkpoint_id"] == older["checkpoint_id"]


async def test_rolling_back_restores_the_state_and_deletes_nothing(client: httpx.AsyncClient) -> None:
    first = await execute(client, thread_id="t", input=saying("How do I connect GitHub?"))
    then = (await client.get("/threads/t/state")).json()["checkpoint_id"]
    await execute(client, thread_id="t", input=saying("Where is my invoice?"))
    known = (await client.get("/threads/t/history", params={"limit": 100})).json()

    rolled = await client.post("/threads/t/rollback", json={"checkpoint_id": then})
    assert rolled.status_code == 200, rolled.text
    assert rolled.json()["values"] == first["result"]
    assert (await client.get("/threads/t/state")).json() == rolled.json()

    now = (await client.get("/threads/t/history", params={"limit": 100})).json()
    assert {entry["checkpoint_id"] for entry in known} < {entry["checkpoint_id"] for entry in now}
    third = await execute(client, thread_id="t", input=saying("hello"))
    texts = [message["content"] for message in third["result"]["messages"] if message["type"] == "human"]
    assert texts == ["How do I connect GitHub?", "hello"]


async def test_two_runs_at_once_on_one_thread_never_fork_it(stepwise: httpx.AsyncClient, tmp_path: Path) -> None:
    reached, release = tmp_path / "reached", tmp_path / "release"
    held = asyncio.create_task(
        execute(stepwise, thread_id="t", input={"reached": str(reached), "release": str(release)})
    )
    await eventually(reached.exists)

    for refused in (
        await stepwise.post("/workflow/execute", json={"thread_id": "t", "input": {"steps": ["second"]}}),
        await stepwise.post("/threads/t/rollback", json={"checkpoint_id": "any"}),
    ):
        assert refused.status_code == 409, refused.text
        assert refused.json()["error"]["code"] == "thread_busy"
        assert int(refused.headers["retry-after"]) >= 1
    assert (await execute(stepwise, thread_id="other", input={"steps": []}))["status"] == "success"

    release.touch()
    assert (await held)["result"]["steps"] == ["first", "middle", "last"]
    assert (await execute(stepwise, thread_id="t", input={"steps": ["again"]}))["status"] == "success"


async def test_many_runs_at_once_on_one_thread_end_as_if_they_had_come_in_turn(stepwise: httpx.AsyncClient) -> None:
    async def insist(number: int) -> None:
        while True:
            body = {"thread_id": "t", "input": {"steps": [str(number)]}}
            answer = await stepwise.post("/workflow/execute", json=body)
            if answer.status_code == 200:
                return
            assert answer.status_code == 409, answer.text
            await asyncio.sleep(0.01)

    await asyncio.gather(*(insist(number) for number in range(8)))
    steps = (await stepwise.get("/threads/t/state")).json()["values"]["steps"]
    turns = [steps[at : at + 4] for at in range(0, len(steps), 4)]
    assert sorted(turn[0] for turn in turns) == [str(number) for number in range(8)]
    assert all(turn[1:] == ["first", "middle", "last"] for turn in turns)


async def test_a_graph_of_a_project_is_chosen_by_name_and_keeps_its_threads(stepwise: httpx.AsyncClient) -> None:
    done = await execute(stepwise, thread_id="t", graph="per_run", input={"steps": []})
    assert done["result"]["steps"] == ["made for t"]
    refused = await stepwise.post("/workflow/execute", json={"thread_id": "t", "graph": "typed", "input": {}})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "wrong_graph")
    again = await execute(stepwise, thread_id="t", input={"steps": ["more"]})
    assert again["graph"] == "per_run"


async def test_types_of_a_graphs_own_schema_survive_storage(stepwise: httpx.AsyncClient) -> None:
    await execute(stepwise, thread_id="t", graph="typed", input={"note": "one"})
    second = await execute(stepwise, thread_id="t", input={"note": "two"})
    assert second["result"] == {"order": {"number": 2}, "note": "two"}


async def test_a_run_that_asks_a_question_is_interrupted_and_says_what_it_asks(stepwise: httpx.AsyncClient) -> None:
    done = await execute(stepwise, thread_id="t", graph="asking", input={"topic": ""})
    assert done["status"] == "interrupted"
    assert [interrupt["value"] for interrupt in done["interrupts"]] == ["which topic?"]
    assert (await stepwise.get("/threads/t/state")).json()["next"] == ["ask"]


async def test_a_failing_graph_is_a_500_without_its_message_and_leaves_the_thread_usable(
    stepwise: httpx.AsyncClient,
) -> None:
    failed = await stepwise.post("/workflow/execute", json={"thread_id": "t", "input": {"fail": True}})
    assert (failed.status_code, failed.json()["error"]["code"]) == (500, "run_failed")
    assert "words of a user" not in failed.text
    assert (await stepwise.get("/threads/t/state")).json()["next"] == ["middle"]
    assert (await execute(stepwise, thread_id="t", input={"fail": False}))["status"] == "success"


async def test_a_run_that_never_ends_is_stopped_by_its_limits(open_client: OpenClient, tmp_path: Path) -> None:
    async with open_client(config=STEPWISE, recursion_limit=7, run_timeout_seconds=1.0) as client:
        looping = await client.post("/workflow/execute", json={"input": {"loop": True}})
        assert (looping.status_code, looping.json()["error"]["code"]) == (500, "recursion_limit")
        assert "7 steps" in looping.json()["error"]["message"]
        hanging = await client.post("/workflow/execute", json={"input": {"release": str(tmp_path / "never")}})
        assert (hanging.status_code, hanging.json()["error"]["code"]) == (504, "run_timeout")
        deaf = await client.post(
            "/workflow/execute", json={"input": {"release": str(tmp_path / "never"), "deaf": True}}
        )
        assert (deaf.status_code, deaf.json()["error"]["code"]) == (504, "run_timeout")
