"""Killed at the worst moment: between two statements that belong together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, cast
from uuid import uuid4

import pytest
from langgraph_sdk.client import LangGraphClient

from tests.faults.clients import Caller, client_of
from tests.faults.cluster import Stage, open_stage
from tests.faults.gates import closed_gates
from tests.faults.invariants import all_ended, examine, rows
from tests.faults.postgres import OwnPostgres
from tests.service.waiting import eventually

pytestmark = pytest.mark.anyio

STEP_2_IS_SHOWN = "NEW.event = 'updates' AND convert_from(NEW.data, 'UTF8') LIKE '%step_2%'"

QUESTIONS = "SELECT FROM checkpoint_writes WHERE written_by = %s AND channel = '__interrupt__'"


@dataclass
class Aftermath:
    """What was going on in two processes when they were killed; a third one has taken all of it up."""

    stage: Stage
    client: LangGraphClient
    unbegun: Caller  # its input was stored, and not yet applied
    unshown: Caller  # step 2 had its result, and the event that shows it was not committed
    unended: Caller  # all steps were stored, and the run's end was not committed
    twice_asked: str  # a thread: its first question was answered, the second asked, the run's end not committed
    updated: str  # a thread: an answer and an update of the state had been stored, the step they led to had not ended
    beside: tuple[str, str]  # a thread and its run: of two tasks of one step the quick one had ended


@pytest.fixture(scope="module")
async def aftermath(calm: OwnPostgres) -> AsyncGenerator[Aftermath]:
    unbegun, unshown, unended = Caller("stream"), Caller("stream"), Caller("wait")
    twice_asked, updated, beside = (str(uuid4()) for _ in range(3))
    async with open_stage(calm.new_database(), calm.new_effects(), roles=()) as stage:
        # They wait with all they store at a gate, so they may execute nothing else.
        first = await stage.cluster.start(worker_slots=1)
        client = stage.cluster.client()
        with closed_gates(stage.database_url) as gates:
            first_step = f"NEW.thread_id = '{unbegun.thread_id}' AND NEW.metadata @> '{{\"step\": 0}}'"
            gates.build("INSERT", "checkpoints", first_step)
            gates.build("INSERT", "run_events", STEP_2_IS_SHOWN)
            calls = [asyncio.create_task(unbegun.call(client, pause=0.1))]
            await gates.until_waiting(1)

            narrow = await stage.cluster.start(worker_slots=1)
            calls.append(asyncio.create_task(unshown.call(client, pause=0.1)))
            await gates.until_waiting(2)

            wide = await stage.cluster.start()
            on_wide = client_of([wide.url])
            for thread_id, graph in ((twice_asked, "asking_twice"), (updated, "asking_and_working")):
                await on_wide.runs.wait(thread_id, graph, input={"answers": []}, if_not_exists="create")
            gates.build("UPDATE", "runs", "NEW.status IN ('success', 'interrupted')")
            calls.append(asyncio.create_task(unended.call(on_wide, pause=0.1)))
            answer = await on_wide.runs.create(twice_asked, "asking_twice", command={"resume": "one"})
            await gates.until_waiting(3)  # for one process ends its runs in one statement
            await eventually(lambda: rows(stage.database_url, QUESTIONS, [answer["run_id"]]))
            modes: Any = ["values", "updates"]
            run = await on_wide.runs.create(
                beside, "beside", input={"done": []}, stream_mode=modes, if_not_exists="create"
            )
            command: Any = {"resume": "answer", "update": {"answers": ["update"]}}
            await on_wide.runs.create(updated, "asking_and_working", command=command)
            await asyncio.sleep(1)  # of the three seconds that the steps of both take
            for process in (first, narrow, wide):
                stage.cluster.kill(process)
            gates.end_those_who_wait()
            gates.end_leases()
            gates.open()
        await stage.cluster.start()
        await asyncio.gather(*calls[:2])
        calls[2].cancel()
        assert await all_ended(stage.database_url, 60)
        yield Aftermath(stage, client, unbegun, unshown, unended, twice_asked, updated, (beside, run["run_id"]))


async def test_a_step_whose_event_was_not_stored_is_done_and_shown_again(aftermath: Aftermath) -> None:
    assert violations(aftermath) == []
    assert effects(aftermath, aftermath.unshown) == [1, 2, 2, 3, 4, 5]


async def test_a_run_that_had_stored_its_input_only_shows_nothing_from_before_it(aftermath: Aftermath) -> None:
    assert violations(aftermath) == []
    assert effects(aftermath, aftermath.unbegun) == [1, 2, 3, 4, 5]
    attempts = "SELECT fence FROM runs WHERE run_id = %s"
    assert rows(aftermath.stage.database_url, attempts, [aftermath.unbegun.run_id]) == [{"fence": 2}]


async def test_a_run_whose_end_was_not_stored_does_nothing_again(aftermath: Aftermath) -> None:
    assert effects(aftermath, aftermath.unended) == [1, 2, 3, 4, 5]


async def test_an_answer_is_given_to_its_question_only(aftermath: Aftermath) -> None:
    client, thread_id = aftermath.client, aftermath.twice_asked
    state = await client.threads.get_state(thread_id)
    assert [question["value"] for question in state["interrupts"]] == ["second?"]
    assert (await client.threads.get(thread_id))["status"] == "interrupted"
    values: Any = await cast("Any", client.runs).wait(thread_id, "asking_twice", command={"resume": "two"})
    assert values["answers"] == ["one", "two"]


async def test_a_command_is_applied_once(aftermath: Aftermath) -> None:
    state = await aftermath.client.threads.get_state(aftermath.updated)
    assert cast("dict[str, Any]", state["values"])["answers"] == ["update", "answer"]


async def test_a_task_that_ended_beside_an_interrupted_one_is_neither_done_nor_shown_again(
    aftermath: Aftermath,
) -> None:
    thread_id, run_id = aftermath.beside
    events = rows(
        aftermath.stage.database_url,
        "SELECT event, convert_from(data, 'UTF8') AS data FROM run_events WHERE run_id = %s ORDER BY id",
        [run_id],
    )
    assert [row["event"] for row in events] == ["metadata", "values", "updates", "metadata", "updates", "values"]
    assert [row["data"] for row in events if row["event"] == "updates"] == [
        '{"quick":{"done":["quick"]}}',
        '{"slow":{"done":["slow"]}}',
    ]
    state = await aftermath.client.threads.get_state(thread_id)
    assert cast("dict[str, Any]", state["values"])["done"] == ["quick", "slow"]


def violations(aftermath: Aftermath) -> list[str]:
    callers = [aftermath.unbegun, aftermath.unshown, aftermath.unended]
    return examine(aftermath.stage.database_url, aftermath.stage.effects_url, callers).violations


def effects(aftermath: Aftermath, caller: Caller) -> list[int]:
    query = "SELECT step FROM effects WHERE run_id = %s ORDER BY id"
    return [row["step"] for row in rows(aftermath.stage.effects_url, query, [caller.run_id])]


async def test_a_run_whose_acceptance_nobody_could_tell_is_not_accepted_twice(calm: OwnPostgres) -> None:
    caller = Caller("background")
    async with open_stage(calm.new_database(), calm.new_effects(), ("all",)) as stage:
        with closed_gates(stage.database_url) as gates:
            gates.build("INSERT", "runs", f"NEW.thread_id = '{caller.thread_id}'")
            call = asyncio.create_task(caller.call(stage.cluster.client(), pause=0.05))
            await gates.until_waiting(1)
            stage.cluster.kill(stage.cluster.processes[0])
            gates.open()  # the statement goes on without its process
            await eventually(lambda: rows(stage.database_url, "SELECT FROM runs"))
            gates.end_leases()
        await stage.cluster.start()
        await call
        assert await all_ended(stage.database_url, 60)
        found = examine(stage.database_url, stage.effects_url, [caller])
        assert not found.violations
        assert found.attempts == 2
