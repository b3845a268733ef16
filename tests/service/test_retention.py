"""What nobody needs any more is forgotten, and only that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString, cast

import httpx
import pytest
from fastapi import FastAPI

from app.runtime.checkpoints import PooledSaver
from app.runtime.retention import Retention, Sweeper
from app.runtime.service import Service
from app.security.caller import Caller

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


async def test_an_expired_thread_stays_while_a_run_waits_whatever_its_status_says(stepwise: httpx.AsyncClient) -> None:
    await stepwise.post("/threads", json={"thread_id": "t", "ttl": {"ttl": 1, "strategy": "delete"}})
    await stepwise.post("/threads/t/runs", json={"assistant_id": "stepwise", "input": {}, "after_seconds": 3600})
    await execute(stepwise, "UPDATE threads SET updated_at = now() - interval '61 s', status = 'idle'")
    await sweep(stepwise)
    assert (await rows(stepwise, "t"))["runs"] == 1


async def test_old_events_go_in_batches(stepwise: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    await run(stepwise, "t")
    await execute(stepwise, "UPDATE run_events SET created_at = now() - interval '2 h'")
    await execute(stepwise, "UPDATE runs SET ended_at = now() - interval '2 h'")
    kept = (await rows(stepwise, "t"))["run_events"]
    monkeypatch.setattr("app.runtime.retention.EVENT_BATCH", kept - 1)
    pool = service_of(stepwise).database.pool
    sweeper = Sweeper(pool, PooledSaver(pool), KEEP_ALL)
    assert await sweeper.sweep()
    assert (await rows(stepwise, "t"))["run_events"] == 1
    assert not await sweeper.sweep()
    assert (await rows(stepwise, "t"))["run_events"] == 0


async def test_an_assistants_threads_go_in_batches(
    stepwise: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = (await stepwise.post("/assistants", json={"graph_id": "stepwise"})).json()["assistant_id"]
    body: dict[str, Any] = {"assistant_id": made, "input": {"steps": []}, "if_not_exists": "create"}
    for number in range(3):
        await stepwise.post(f"/threads/{number}/runs/wait", json=body)
    monkeypatch.setattr("app.runtime.threads.DELETED_AT_ONCE", 2)
    threads = service_of(stepwise).threads
    sizes = list[int]()
    delete_many = threads.delete_many

    async def counted(caller: Caller, thread_ids: Sequence[str]) -> int:
        sizes.append(len(thread_ids))
        return await delete_many(caller, thread_ids)

    monkeypatch.setattr(threads, "delete_many", counted)
    await stepwise.delete(f"/assistants/{made}", params={"delete_threads": True})
    assert sizes == [2, 1]
    assert (await stepwise.post("/threads/search", json={})).json() == []


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
