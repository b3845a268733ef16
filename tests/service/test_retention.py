"""What nobody needs any more is forgotten, and only that."""

from __future__ import annotations

from typing import Any, LiteralString, cast

import httpx
import pytest
from fastapi import FastAPI

from app.runtime.checkpoints import PooledSaver
from app.runtime.retention import Retention, Sweeper
from app.runtime.service import Service

pytestmark = pytest.mark.anyio

HOUR, DAY = 3600.0, 86_400.0
KEEP_ALL = Retention(event_seconds=HOUR, run_seconds=None, checkpoint_seconds=None)
TABLES: tuple[LiteralString, ...] = ("checkpoints", "checkpoint_blobs", "checkpoint_writes", "runs", "run_events")


def service_of(client: httpx.AsyncClient) -> Service:
    app = cast("httpx.ASGITransport", cast("Any", client)._transport).app
    return cast("FastAPI", app).state.service


async def sweep(client: httpx.AsyncClient, retention: Retention = KEEP_ALL) -> None:
    pool = service_of(client).database.pool
    await Sweeper(pool, PooledSaver(pool), retention).sweep()


async def execute(client: httpx.AsyncClient, statement: LiteralString) -> None:
    async with service_of(client).database.pool.connection() as connection:
        await connection.execute(statement)


async def rows(client: httpx.AsyncClient, thread_id: str) -> dict[str, int]:
    counted: dict[str, int] = {}
    async with service_of(client).database.pool.connection() as connection:
        for table in TABLES:
            where = (
                "run_id IN (SELECT run_id FROM runs WHERE thread_id = %s)"
                if table == "run_events"
                else "thread_id = %s"
            )
            cursor = await connection.execute(f"SELECT count(*) AS n FROM {table} WHERE {where}".encode(), (thread_id,))  # noqa: S608  constants
            counted[table] = (await cursor.fetchone() or {"n": 0})["n"]
    return counted


async def run(client: httpx.AsyncClient, thread_id: str) -> dict[str, Any]:
    body = {"assistant_id": "stepwise", "input": {"steps": ["x"]}, "if_not_exists": "create"}
    answer = await client.post(f"/threads/{thread_id}/runs/stream", json=body)
    assert "event: end" in answer.text
    return (await client.get(f"/threads/{thread_id}/state")).json()


async def test_an_expired_thread_goes_with_everything_it_had_and_no_other(stepwise: httpx.AsyncClient) -> None:
    await stepwise.post("/threads", json={"thread_id": "short", "ttl": {"ttl": 1, "strategy": "delete"}})
    await run(stepwise, "short")
    await run(stepwise, "kept")
    await sweep(stepwise)
    assert min((await rows(stepwise, "short")).values()) > 0
    await execute(stepwise, "UPDATE threads SET updated_at = now() - interval '61 s'")
    await sweep(stepwise)
    assert set((await rows(stepwise, "short")).values()) == {0}
    assert (await stepwise.get("/threads/short")).status_code == 404
    assert min((await rows(stepwise, "kept")).values()) > 0


async def test_old_events_go_and_a_stream_that_asks_for_them_says_so(stepwise: httpx.AsyncClient) -> None:
    await run(stepwise, "t")
    (ended,) = (await stepwise.get("/threads/t/runs")).json()
    await execute(stepwise, "UPDATE run_events SET created_at = now() - interval '2 h'")
    await execute(stepwise, "UPDATE runs SET ended_at = now() - interval '2 h'")
    await sweep(stepwise)
    left = await rows(stepwise, "t")
    assert (left["run_events"], left["runs"]) == (0, 1)
    again = await stepwise.get(f"/threads/t/runs/{ended['run_id']}/stream")
    assert "event: gap" in again.text
    assert "event: end" in again.text


async def test_a_quiet_thread_keeps_its_newest_checkpoint_and_its_state(stepwise: httpx.AsyncClient) -> None:
    state = await run(stepwise, "t")
    await execute(stepwise, "UPDATE threads SET updated_at = now() - interval '2 d'")
    before = await rows(stepwise, "t")
    await sweep(stepwise, Retention(HOUR, None, DAY))
    after = await rows(stepwise, "t")
    assert (before["checkpoints"] > 1, after["checkpoints"]) == (True, 1)
    assert (await stepwise.get("/threads/t/state")).json()["values"] == state["values"]
    assert len((await run(stepwise, "t"))["values"]["steps"]) == len(state["values"]["steps"]) + 4


async def test_old_runs_are_forgotten_and_their_thread_is_not(stepwise: httpx.AsyncClient) -> None:
    state = await run(stepwise, "t")
    await execute(stepwise, "UPDATE runs SET ended_at = now() - interval '31 d'")
    await sweep(stepwise, Retention(HOUR, 30 * DAY, None))
    left = await rows(stepwise, "t")
    assert (left["runs"], left["run_events"]) == (0, 0)
    assert (await stepwise.get("/threads/t/state")).json()["values"] == state["values"]
