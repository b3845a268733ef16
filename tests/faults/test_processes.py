"""Processes that die, are replaced, freeze, or have the wrong time, with fifty runs in flight."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest

from tests.faults import scenarios
from tests.faults.clients import client_of
from tests.faults.cluster import Stage, open_stage
from tests.faults.load import held
from tests.faults.postgres import OwnPostgres
from tests.service.processes import Running

pytestmark = pytest.mark.anyio


async def test_runs_of_a_killed_process_end_elsewhere_and_no_completed_step_is_repeated(stage: Stage) -> None:
    figures = await scenarios.kill(stage, stage.cluster.processes[0], offset=1.2)
    held(figures, done_within=15)
    assert figures.findings.repeated_steps <= scenarios.RUNS / 2, "more than the step each run was in"


async def test_a_worker_apart_can_be_killed_under_streams_that_an_api_process_holds(calm: OwnPostgres) -> None:
    async with open_stage(calm.new_database(), calm.new_effects(), ("api", "worker", "worker")) as stage:
        victim = stage.cluster.processes[-1]
        held(await scenarios.kill(stage, victim, offset=0.2), done_within=15)


async def test_a_stream_that_a_stopping_process_leaves_breaks_off_and_does_not_end(calm: OwnPostgres) -> None:
    # After a clean end SDK clients ask for the run, and leave it at that when it has ended meanwhile.
    async with open_stage(calm.new_database(), calm.new_effects(), ("api", "worker")) as stage:
        service = stage.cluster.processes[0]
        body: dict[str, Any] = {"assistant_id": "five", "input": {"said": []}, "if_not_exists": "create"}
        async with (
            httpx.AsyncClient(base_url=service.url, timeout=30) as client,
            client.stream("POST", f"/threads/{uuid4()}/runs/stream", json=body) as stream,
        ):
            lines = stream.aiter_lines()
            assert await anext(lines) == "id: 1"
            stopping = asyncio.create_task(stage.cluster.terminate(service))
            with pytest.raises(httpx.RemoteProtocolError):
                assert [line async for line in lines if line == "event: end"] == []
            await stopping


async def test_a_rolling_deploy_under_load_is_invisible(stage: Stage) -> None:
    figures = await scenarios.replace_each(stage)
    held(figures, done_within=5, exit_within=2)
    assert figures.findings.repeated_steps == 0
    assert figures.findings.failures == 0


async def test_a_process_that_was_frozen_for_longer_than_its_lease_changes_nothing_any_more(stage: Stage) -> None:
    held(await scenarios.freeze(stage, stage.cluster.processes[0]))


async def test_clocks_that_are_an_hour_wrong_change_nothing(calm: OwnPostgres) -> None:
    async with open_stage(calm.new_database(), calm.new_effects(), roles=()) as stage:
        early = await stage.cluster.start(clock_shift=3600)
        await stage.cluster.start(clock_shift=-3600)
        held(await scenarios.terminate(stage, early))
        await a_fork_becomes_the_newest_checkpoint(await stage.cluster.start())


async def a_fork_becomes_the_newest_checkpoint(service: Running) -> None:
    """Also where the process has read nothing of the thread but the old checkpoint it forks from."""
    client = client_of([service.url])
    soon = datetime.now(UTC) + timedelta(minutes=30)
    for thread in await client.threads.search(limit=scenarios.RUNS):
        thread_id = thread["thread_id"]
        history = service.get(f"/threads/{thread_id}/history?limit=100").json()
        if datetime.fromisoformat(history[3]["created_at"]) > soon:
            break
    else:
        raise AssertionError("no thread was written to by the process that is ahead")
    await client.threads.update_state(thread_id, {"said": ["forked"]}, checkpoint_id=history[3]["checkpoint_id"])
    state = await client.threads.get_state(thread_id)
    assert cast("dict[str, Any]", state["values"])["said"][-1] == "forked"
