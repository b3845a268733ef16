"""A run ends, or is taken back, while a step of it is just being stored: neither comes between the other's halves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, LiteralString

import httpx
import pytest
from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier

from tests.service.database import sessions_wait
from tests.service.waiting import eventually, eventually_async

pytestmark = pytest.mark.anyio

HELD = SQL("""
    CREATE FUNCTION wait_for_the_test() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared(1);
        RETURN coalesce(NEW, OLD);
    END $$;
    CREATE TRIGGER wait_for_the_test BEFORE {} ON {} FOR EACH ROW WHEN ({}) EXECUTE FUNCTION wait_for_the_test();
""")


@asynccontextmanager
async def held_up(
    database_url: str, table: str = "checkpoints", event: LiteralString = "INSERT", when: LiteralString = "true"
) -> AsyncGenerator[AsyncConnection]:
    """What is stored or deleted there is not committed before this ends."""
    async with await AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(HELD.format(SQL(event), Identifier(table), SQL(when)))
        await connection.execute("SELECT pg_advisory_lock(1)")
        yield connection
        await connection.execute("SELECT pg_advisory_unlock(1)")


async def history(client: httpx.AsyncClient) -> Any:
    return (await client.get("/threads/t/history", params={"limit": 100})).json()


@pytest.mark.parametrize("action", ["rollback", "interrupt"])
async def test_a_cancelled_run_ends_after_what_was_being_stored_of_it(
    stepwise: httpx.AsyncClient, database_url: str, action: str
) -> None:
    first = {"assistant_id": "stepwise", "input": {"steps": ["first"]}}
    await stepwise.post("/threads/t/runs/wait", json={**first, "if_not_exists": "create"})
    before = await history(stepwise)

    async with held_up(database_url) as connection:
        made = await stepwise.post("/threads/t/runs", json={"assistant_id": "stepwise", "input": {"steps": ["second"]}})
        run_id = made.json()["run_id"]
        await eventually_async(lambda: sessions_wait(connection, 1))
        cancelled = await stepwise.post(f"/threads/t/runs/{run_id}/cancel", params={"action": action})
        assert cancelled.is_success, cancelled.text
        await eventually_async(lambda: sessions_wait(connection, 2))  # the second is the run's end
        assert (await stepwise.get(f"/threads/t/runs/{run_id}")).json()["status"] == "running"
    await stepwise.get(f"/threads/t/runs/{run_id}/join")

    after = await history(stepwise)
    if action == "rollback":
        assert after == before, "something of the run stayed"
    else:
        assert after[1:] == before
        assert after[0]["metadata"]["run_id"] == run_id


async def test_a_question_that_is_stored_while_its_run_is_cancelled_is_the_threads_and_takes_its_answer(
    stepwise: httpx.AsyncClient, database_url: str
) -> None:
    body = {"assistant_id": "asking", "if_not_exists": "create"}
    async with held_up(database_url, "checkpoint_writes", when="NEW.channel = '__interrupt__'") as connection:
        run_id = (await stepwise.post("/threads/t/runs", json={**body, "input": {}})).json()["run_id"]
        await eventually_async(lambda: sessions_wait(connection, 1))
        await stepwise.post(f"/threads/t/runs/{run_id}/cancel", params={"action": "interrupt"})
        await eventually_async(lambda: sessions_wait(connection, 2))
    await stepwise.get(f"/threads/t/runs/{run_id}/join")
    thread = (await stepwise.get("/threads/t")).json()
    assert thread["status"] == "interrupted"
    answered = await stepwise.post("/threads/t/runs/wait", json={**body, "command": {"resume": "yes"}})
    assert answered.status_code == 200, answered.text


async def test_a_long_taking_back_holds_up_no_renewal_of_a_lease(
    stepwise: httpx.AsyncClient, database_url: str, tmp_path: Path
) -> None:
    given = {"reached": str(tmp_path / "reached"), "release": str(tmp_path / "release")}
    body = {"assistant_id": "stepwise", "input": given, "if_not_exists": "create"}
    run_id = (await stepwise.post("/threads/t/runs", json=body)).json()["run_id"]
    await eventually((tmp_path / "reached").exists)
    async with held_up(database_url, event="DELETE") as connection:
        await stepwise.post(f"/threads/t/runs/{run_id}/cancel", params={"action": "rollback"})
        await eventually_async(lambda: sessions_wait(connection, 1))
        await connection.execute("SELECT FROM runs FOR NO KEY UPDATE NOWAIT")  # as a renewal
    await stepwise.get(f"/threads/t/runs/{run_id}/join")
    assert (await stepwise.get(f"/threads/t/runs/{run_id}")).status_code == 404
    assert await history(stepwise) == []


async def test_a_cancelled_run_shows_nothing_that_the_next_one_does_not_find(
    stepwise: httpx.AsyncClient, database_url: str
) -> None:
    body = {"assistant_id": "stepwise", "input": {"steps": ["first input"]}, "if_not_exists": "create"}
    async with held_up(database_url, "checkpoint_writes") as connection:
        answer = asyncio.create_task(stepwise.post("/threads/t/runs/wait", json=body))
        await eventually_async(lambda: sessions_wait(connection, 1))  # a step is done, and its result not yet stored
        [run] = (await stepwise.get("/threads/t/runs")).json()
        await stepwise.post(f"/threads/t/runs/{run['run_id']}/cancel", params={"action": "interrupt"})
        await eventually(a_graph_is_cancelled)
    shown = (await answer).json()["steps"]
    assert (await stepwise.get(f"/threads/t/runs/{run['run_id']}/join")).json()[
        "steps"
    ] == shown  # as other processes see it
    found = (await stepwise.post("/threads/t/runs/wait", json={**body, "input": {"steps": ["second"]}})).json()["steps"]
    assert shown == found[: len(shown)]
    assert found[len(shown)] == "second"


def a_graph_is_cancelled() -> bool:
    return any(task.get_name().startswith("run-") and task.cancelling() for task in asyncio.all_tasks())
