"""Many clients on few threads, on two processes at once: what is kept is what some order, one by one, would have kept."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from typing import Any, Literal, cast, get_args
from uuid import uuid4

import httpx
import psycopg
import pytest
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.schema import RunCreateMetadata

from tests.faults.clients import KINDS, Caller, client_of
from tests.faults.cluster import Stage, open_stage
from tests.faults.invariants import all_ended, examine, rows
from tests.faults.load import held, loaded, now, settle
from tests.faults.postgres import OwnPostgres

pytestmark = pytest.mark.anyio

Strategy = Literal["enqueue", "reject", "interrupt", "rollback"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
STEPS = 3  # of project/lines.py

THREADS, CLIENTS, TURNS = 8, 128, 2

# As on a busy database: a run is more often stopped while a step of it is being stored.
STORING_TAKES_TIME = """
    CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_sleep(random() * 0.02);
        RETURN NULL;
    END $$;
    CREATE TRIGGER take_time AFTER INSERT ON checkpoints FOR EACH STATEMENT EXECUTE FUNCTION take_time();
"""


@pytest.fixture(scope="module")
async def stage(calm: OwnPostgres) -> AsyncGenerator[Stage]:
    """Two processes that nothing happens to; each test has threads of its own."""
    async with open_stage(calm.new_database(), calm.new_effects()) as opened:
        with psycopg.connect(opened.database_url, autocommit=True) as connection:
            connection.execute(STORING_TAKES_TIME)
        yield opened


@dataclass
class Told:
    """What a client learned of one run: refused, or its id and perhaps the state with its last line."""

    name: str
    thread_id: str
    run_id: str | None = None
    whole: bool = False


async def say(client: LangGraphClient, thread_id: str, strategy: Strategy) -> Told:
    told = Told(uuid4().hex[:8], thread_id)

    def created(run: RunCreateMetadata) -> None:
        told.run_id = run["run_id"]

    try:
        values: Any = await cast("Any", client.runs).wait(
            thread_id,
            "lines",
            input={"lines": [f"{told.name}:0"]},
            multitask_strategy=strategy,
            if_not_exists="create",
            on_run_created=created,
            raise_error=False,
        )
    except httpx.HTTPStatusError as refusal:
        assert (strategy, refusal.response.status_code, told.run_id) == ("reject", 409, None)  # noqa: PT017  most are accepted
    else:
        # A run that was interrupted answers with the state as it then is; one that was taken back, with an error.
        told.whole = isinstance(values, dict) and f"{told.name}:{STEPS}" in values.get("lines", [])
    return told


async def test_what_many_clients_with_all_strategies_leave_is_a_serial_order(stage: Stage) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    threads = [str(uuid4()) for _ in range(THREADS)]
    client = stage.cluster.client()

    async def converse(turns: Sequence[tuple[str, Strategy]]) -> list[Told]:
        return [await say(client, thread_id, strategy) for thread_id, strategy in turns]

    turns: list[list[tuple[str, Strategy]]] = [
        [(chance.choice(threads), chance.choice(STRATEGIES)) for _ in range(TURNS)] for _ in range(CLIENTS)
    ]
    told = [one for each in await asyncio.gather(*map(converse, turns)) for one in each]
    assert await all_ended(stage.database_url, 60)
    for thread_id in threads:
        await a_serial_order(stage, client, thread_id, [one for one in told if one.thread_id == thread_id])


async def a_serial_order(stage: Stage, client: LangGraphClient, thread_id: str, told: Sequence[Told]) -> None:
    query = "SELECT run_id::text, status FROM runs WHERE thread_id = %s ORDER BY number"
    runs = {row["run_id"]: row["status"] for row in rows(stage.database_url, query, [thread_id])}
    names = {one.run_id: one.name for one in told if one.run_id}
    state = await client.threads.get_state(thread_id)
    lines = [line.split(":") for line in cast("dict[str, Any]", state["values"])["lines"]]

    kept = [(name, [int(number) for _, number in group]) for name, group in groupby(lines, key=lambda line: line[0])]
    order = [names[run_id] for run_id in runs]
    assert [name for name, _ in kept] == [name for name in order if name in dict(kept)], "once each, as accepted"
    for run_id, status in runs.items():
        numbers = dict(kept).get(names[run_id], [])
        assert numbers == list(range(len(numbers))), "its own lines, whole and in order"
        if status == "success":
            assert len(numbers) == STEPS + 1
        else:
            assert status in {"interrupted", "cancelled"}
    assert {name for name, _ in kept} <= set(order), "nothing of what was refused or taken back"
    for one in told:
        if one.whole:
            assert len(dict(kept)[one.name]) == STEPS + 1, "what a client was shown is kept"
    (row,) = rows(stage.database_url, "SELECT status FROM threads WHERE thread_id = %s", [thread_id])
    last = runs[list(runs)[-1]] if runs else "success"
    assert row["status"] == ("idle" if last in {"success", "cancelled"} else "interrupted")


async def test_of_two_answers_to_one_question_at_once_one_is_taken_and_the_other_is_told_so(stage: Stage) -> None:
    one, other = (client_of([service.url]) for service in stage.cluster.processes)

    async def answer(client: LangGraphClient, thread_id: str, text: str) -> str | None:
        try:
            await client.runs.wait(thread_id, "asking", command={"resume": text})
        except httpx.HTTPStatusError as refusal:
            assert refusal.response.status_code == 409  # noqa: PT017  one of the two is accepted
            return None
        return text

    async def ask_once() -> None:
        thread_id = str(uuid4())
        await one.runs.wait(thread_id, "asking", input={"answers": []}, if_not_exists="create")
        answers = await asyncio.gather(answer(one, thread_id, "yes"), answer(other, thread_id, "no"))
        taken = [text for text in answers if text]
        state = await one.threads.get_state(thread_id)
        assert len(taken) == 1
        assert cast("dict[str, Any]", state["values"])["answers"] == taken

    for _ in range(4):
        await asyncio.gather(*(ask_once() for _ in range(10)))


async def test_a_request_sent_many_times_at_once_to_both_processes_is_one_run(stage: Stage) -> None:
    client = stage.cluster.client()
    callers: list[Caller] = []
    for kind, strategy in product(KINDS, STRATEGIES):
        first = Caller(kind)
        again = [Caller(kind, first.thread_id, first.said, first.key) for _ in range(15)]
        callers += [first, *again]
        await asyncio.gather(*(each.call(client, 0.05, multitask_strategy=strategy) for each in (first, *again)))
    found = examine(stage.database_url, stage.effects_url, callers)
    assert not found.violations
    assert len({caller.run_id for caller in callers}) == found.attempts == len(KINDS) * len(STRATEGIES)


async def test_two_workers_that_hear_of_the_same_runs_at_once_execute_each_of_them_once(calm: OwnPostgres) -> None:
    async with open_stage(calm.new_database(), calm.new_effects(), ("api", "worker", "worker")) as stage:
        async with loaded(stage.cluster.client(), 60, pause=0.05) as load:
            figures = await settle("claims", load, now(stage), stage)
        held(figures)
        assert figures.findings.attempts == figures.runs
        processes = rows(stage.effects_url, "SELECT count(DISTINCT process) AS found FROM effects")[0]["found"]
        assert processes == 2, "the other worker never claimed anything"
