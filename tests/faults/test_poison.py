"""A run that takes its process with it every time."""

from __future__ import annotations

import asyncio
import time

import psycopg
import pytest

from app.runtime.leases import MOST_FAILURES
from tests.faults.cluster import Stage
from tests.faults.invariants import examine, rows
from tests.faults.load import loaded

pytestmark = pytest.mark.anyio

# The dead worker's leases end now: else this would take a minute.
HASTEN = "UPDATE runs SET lease_until = now() WHERE worker = (SELECT worker FROM runs WHERE graph_id = 'deadly')"


async def test_a_run_that_kills_its_process_each_time_is_given_up_and_the_others_end(stage: Stage) -> None:
    client = stage.cluster.client()
    async with loaded(client, 12, pause=1.0) as load:
        thread = await client.threads.create()
        deadly = await client.runs.create(thread["thread_id"], "deadly", input={"text": ""})
        killed = 0
        end = time.monotonic() + 120
        while (run := await status(stage, deadly["run_id"]))["status"] in {"pending", "running"}:
            assert time.monotonic() < end, run
            for running in [each for each in stage.cluster.processes if each.process.poll() is not None]:
                killed += 1
                stage.cluster.kill(running)
                with psycopg.connect(stage.database_url, autocommit=True) as connection:
                    connection.execute(HASTEN)
                await stage.cluster.start()
            await asyncio.sleep(0.1)
        await load.finish()
    assert killed == MOST_FAILURES + 1
    assert run["error"]["error"] == "gave_up"
    assert run["dead_letter"]
    assert (await client.threads.get(thread["thread_id"]))["status"] == "error"
    assert not examine(stage.database_url, stage.effects_url, load.callers).violations


async def status(stage: Stage, run_id: str) -> dict[str, object]:
    return rows(stage.database_url, "SELECT status, error, dead_letter FROM runs WHERE run_id = %s", [run_id])[0]
