"""Sessions end as their tenants' limits say; an administrator ends, exports and erases what is a user's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.runtime.checkpoints import PooledSaver
from app.runtime.retention import Retention, Sweeper
from app.runtime.sessions import Sessions
from app.settings import Settings
from tests.service.application import STEPWISE
from tests.service.callers import TENANT, USER, opened
from tests.service.test_audit import execute, rows, verified
from tests.service.waiting import eventually

pytestmark = pytest.mark.anyio

ANN, BOB, ROOT = {USER: "ann"}, {USER: "bob"}, {USER: "root"}
OTHER = {TENANT: "other"}


def a_run(**state: object) -> dict[str, Any]:
    return {"assistant_id": "stepwise", "input": {"steps": ["mine"], **state}, "if_not_exists": "create"}


async def sweep(app: FastAPI, sessions: Sessions) -> None:
    pool = app.state.service.database.pool
    retention = Retention(event_seconds=3600, run_seconds=None, checkpoint_seconds=None, sessions=sessions)
    await Sweeper(pool, PooledSaver(pool), retention).sweep()


async def left(client: httpx.AsyncClient, *users: dict[str, str]) -> list[set[str]]:
    answers = [await client.post("/threads/search", json={"limit": 100}, headers=user) for user in users]
    return [{thread["thread_id"] for thread in answer.json()} for answer in answers]


async def test_a_thread_ends_by_its_tenants_idle_and_absolute_limit_unless_a_run_works_on_it(
    settings: Settings,
) -> None:
    sessions = Sessions.model_validate(
        {"absolute_seconds": 7200, "tenants": {"other": {"idle_seconds": 600, "absolute_seconds": None}}}
    )
    async with opened(settings) as (app, client):
        for user in (ANN, ANN | OTHER):
            for thread_id in ("fresh", "idle", "old", "busy"):
                name = f"{thread_id}-{user.get(TENANT, '')}"
                await client.post("/threads", json={"thread_id": name}, headers=user)
        await execute(app, "UPDATE threads SET updated_at = now() - interval '1 h' WHERE thread_id LIKE 'idle%'")
        await execute(app, "UPDATE threads SET created_at = now() - interval '3 h' WHERE thread_id ~ '^(old|busy)'")
        await execute(
            app,
            "UPDATE threads SET status = 'busy', updated_at = now() - interval '3 h' WHERE thread_id LIKE 'busy%'",
        )
        await sweep(app, sessions)
        assert await left(client, ANN, ANN | OTHER) == [
            {"fresh-", "idle-", "busy-"},
            {"fresh-other", "old-other", "busy-other"},
        ]
        await sweep(app, Sessions())
        assert len((await left(client, ANN))[0]) == 3


async def test_an_administrator_sees_and_ends_sessions_of_a_user_of_the_same_tenant_only(
    settings: Settings, folder: Path
) -> None:
    async with opened(settings.model_copy(update={"config": STEPWISE})) as (_, client):
        held = a_run(reached=str(folder / "reached"), release=str(folder / "never"))
        run = (await client.post("/threads/running/runs", json=held, headers=ANN)).json()
        await client.post("/threads", json={"thread_id": "quiet"}, headers=ANN)
        await client.post("/threads", json={"thread_id": "bobs"}, headers=BOB)
        await eventually((folder / "reached").exists)

        seen = (await client.get("/admin/users/ann/threads", headers=ROOT)).json()
        assert {thread["thread_id"]: thread["status"] for thread in seen} == {"running": "busy", "quiet": "idle"}
        assert (await client.get("/admin/users/ann/threads", headers=ROOT | OTHER)).json() == []
        stranger = await client.post("/admin/users/ann/end", json={"erase": True}, headers=ROOT | OTHER)
        assert stranger.json() == {"runs": 0, "threads": 0}

        ended = await client.post("/admin/users/ann/end", json={}, headers=ROOT)
        assert ended.json() == {"runs": 1, "threads": 0}
        joined = await client.get(f"/threads/running/runs/{run['run_id']}/join", headers=ANN)
        assert joined.status_code == 200
        erased = await client.post("/admin/users/ann/end", json={"thread_ids": ["quiet"], "erase": True}, headers=ROOT)
        assert erased.json() == {"runs": 0, "threads": 1}
        assert await left(client, ANN, BOB) == [{"running"}, {"bobs"}]


async def test_a_user_who_is_erased_leaves_no_data_a_whole_audit_log_and_nobody_to_name_in_it(
    settings: Settings, folder: Path
) -> None:
    async with opened(settings.model_copy(update={"config": STEPWISE})) as (app, client):
        for user, thread_id in ((ANN, "anns-diary"), (BOB, "bobs")):
            await client.post(f"/threads/{thread_id}/runs/wait", json=a_run(), headers=user)
            item = {"namespace": ["notes"], "key": thread_id, "value": {"of": thread_id}}
            await client.put("/store/items", json=item, headers=user)
        await client.post("/runs/wait", json=a_run(), headers=ANN)

        exported = (await client.get("/admin/users/ann/export", headers=ROOT)).json()
        assert {item["table"] for item in exported} >= {"threads", "runs", "states", "store_items", "audit_subjects"}
        assert "anns-diary" in json.dumps(exported)
        assert "mine" in json.dumps([item for item in exported if item["table"] == "states"])
        assert "bob" not in json.dumps(exported)
        assert "salt" not in json.dumps(exported)

        erased = (await client.delete("/admin/users/ann", headers=ROOT)).json()
        assert (erased["threads"], erased["store_items"], erased["audit_subjects"]) == (2, 1, 1)
        assert (await client.get("/admin/users/ann/export", headers=ROOT)).json() == []
        assert await left(client, BOB) == [{"bobs"}]

        async with app.state.service.database.pool.connection() as connection:
            for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes", "runs", "threads"):
                cursor = await connection.execute(f"SELECT * FROM {table} WHERE thread_id <> 'bobs'")  # noqa: S608  constants
                assert await cursor.fetchall() == []
        kept = (await client.post("/store/items/search", json={}, headers=BOB)).json()["items"]
        assert [item["key"] for item in kept] == ["bobs"]
        log = await rows(app)
        assert {row["action"] for row in log} == {"run", "change", "export", "delete", "read"}
        assert not [row for row in log if "ann" in str(row)]
    assert verified(settings, folder)[0] == 0


async def test_what_an_administrator_ended_is_begun_anew_by_no_cron(settings: Settings) -> None:
    async with opened(settings.model_copy(update={"config": STEPWISE})) as (_, client):
        cron: dict[str, Any] = {"assistant_id": "stepwise", "schedule": "* * * * *", "input": {"steps": []}}
        await client.post("/threads", json={"thread_id": "t"}, headers=ANN)
        for path, user in (("/threads/t/runs/crons", ANN), ("/runs/crons", ANN), ("/runs/crons", BOB)):
            assert (await client.post(path, json=cron, headers=user)).status_code == 200

        async def enabled(user: dict[str, str]) -> list[str | None]:
            found = await client.post("/runs/crons/search", json={"enabled": True}, headers=user)
            return [cron["thread_id"] for cron in found.json()]

        await client.post("/admin/users/ann/end", json={"thread_ids": ["t"]}, headers=ROOT)
        assert await enabled(ANN) == [None]
        await client.post("/admin/users/ann/end", json={}, headers=ROOT)
        assert (await enabled(ANN), await enabled(BOB)) == ([], [None])


async def test_a_thread_that_begins_while_its_user_is_erased_leaves_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(settings.model_copy(update={"config": STEPWISE})) as (app, client):
        users = app.state.service.users
        end = users.end

        async def and_another(*args: Any, **kwargs: Any) -> Any:
            done = await end(*args, **kwargs)
            await client.post("/threads/late/runs/wait", json=a_run(), headers=ANN)
            return done

        monkeypatch.setattr(users, "end", and_another)
        assert (await client.delete("/admin/users/ann", headers=ROOT)).json()["threads"] == 1
        async with app.state.service.database.pool.connection() as connection:
            for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes", "runs", "threads"):
                cursor = await connection.execute(f"SELECT * FROM {table}")  # noqa: S608  constants
                assert await cursor.fetchall() == []


async def test_a_users_name_may_have_slashes(settings: Settings) -> None:
    async with opened(settings) as (_, client):
        for user, thread_id in (("org/ann", "anns"), ("org", "orgs")):
            await client.post("/threads", json={"thread_id": thread_id}, headers={USER: user})
        seen = await client.get("/admin/users/org%2Fann/threads", headers=ROOT)
        assert [thread["thread_id"] for thread in seen.json()] == ["anns"]
        assert (await client.delete("/admin/users/org%2Fann", headers=ROOT)).json()["threads"] == 1
        assert await left(client, {USER: "org"}) == [{"orgs"}]


async def test_an_export_is_whole_without_the_graph_and_however_long_the_thread(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.runtime.user_data.BATCH", 2)
    async with opened(settings.model_copy(update={"config": STEPWISE})) as (app, client):
        await client.post("/threads/t/runs/wait", json=a_run(), headers=ANN)
        kept = len((await client.get("/threads/t/history", headers=ANN)).json())
        await execute(app, "UPDATE threads SET graph_id = 'retired'")
        exported = (await client.get("/admin/users/ann/export", headers=ROOT)).json()
    states = [item for item in exported if item["table"] == "states"]
    assert len({state["checkpoint_id"] for state in states}) == len(states) == kept > 2
    assert "mine" in json.dumps(states[0]["values"])
