"""Runs that do harm wherever they are executed."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import psycopg
import pytest

from app.runtime.leases import MOST_FAILURES
from tests.faults.cluster import Stage
from tests.faults.invariants import examine, rows
from tests.faults.load import loaded
from tests.service.waiting import eventually_async

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


async def test_a_run_that_no_process_can_read_does_not_hold_up_the_queue(stage: Stage) -> None:
    client = stage.cluster.client()
    thread = await client.threads.create()
    later = await client.runs.create(thread["thread_id"], "five", input={"said": []}, after_seconds=2)
    with psycopg.connect(stage.database_url, autocommit=True) as connection:
        connection.execute("UPDATE runs SET request = 'of another version' WHERE run_id = %s", [later["run_id"]])
    await eventually_async(lambda: begun(stage, later["run_id"]))
    async with loaded(client, 60, pause=0.01) as load:  # more than a process begins without its queue
        await load.finish()
    assert (await status(stage, later["run_id"]))["status"] != "success"


async def begun(stage: Stage, run_id: str) -> bool:
    return bool(rows(stage.database_url, "SELECT FROM runs WHERE run_id = %s AND fence > 0", [run_id]))


async def status(stage: Stage, run_id: str) -> dict[str, Any]:
    return rows(stage.database_url, "SELECT status, error, dead_letter FROM runs WHERE run_id = %s", [run_id])[0]
