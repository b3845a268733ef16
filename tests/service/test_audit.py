"""What signed-in users do is on record before they are answered, without their words or names, and stays as written."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, LiteralString

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from app.api.application import PUBLIC
from app.api.audit import action_of
from app.security.caller import ALL_SCOPES, Caller
from app.settings import Settings
from tests.service.application import STEPWISE
from tests.service.callers import USER, opened
from tests.service.processes import Services

pytestmark = pytest.mark.anyio

ANN, BOB = {USER: "ann-smith"}, {USER: "bob"}
RUN = {"assistant_id": "stepwise", "input": {"steps": ["secret words"]}, "if_not_exists": "create"}


async def rows(app: FastAPI) -> list[dict[str, Any]]:
    async with app.state.service.database.pool.connection() as connection:
        query = "SELECT * FROM audit_log WHERE action <> 'anchor' ORDER BY chain, number"
        return await (await connection.execute(query)).fetchall()


async def execute(app: FastAPI, statement: LiteralString) -> None:
    async with app.state.service.database.pool.connection() as connection:
        await connection.execute(statement)


def verified(settings: Settings, folder: Path, *arguments: str) -> tuple[int, str]:
    url = settings.database_url.get_secret_value() if settings.database_url else ""
    done = Services(folder).command("audit", "verify", *arguments, database_url=url)
    return done.returncode, done.stdout + done.stderr


async def test_who_did_what_is_on_record_without_words_or_names(settings: Settings) -> None:
    async with opened(settings.model_copy(update={"config": STEPWISE})) as (app, client):
        made = (await client.post("/threads", json={}, headers=ANN)).json()["thread_id"]
        ran = await client.post(f"/threads/{made}/runs/wait", json=RUN, headers=ANN)
        run_id = ran.headers["content-location"].rpartition("/")[2]
        await client.post("/threads", json={"thread_id": "ann-smith"}, headers=ANN | {"x-request-id": "ann.smith"})
        await client.get(f"/threads/{made}/state", headers=BOB)
        await client.post("/threads/search", json={}, headers=BOB)
        await client.delete(f"/threads/{made}", headers=ANN)
        await client.get("/threads/none")  # without sign-in
        await client.get("/health", headers=ANN)
        found = await rows(app)

    ann, bob = found[0]["subject"], found[3]["subject"]
    assert [(row["subject"], row["action"], row["operation"], row["object"], row["status"]) for row in found] == [
        (ann, "change", "create_thread", made, 200),
        (ann, "run", "wait_for_run", f"{made} {run_id}", 200),
        (ann, "change", "create_thread", found[2]["object"], 200),
        (bob, "read", "get_thread_state", made, 404),
        (bob, "read", "search_threads", None, 200),
        (ann, "delete", "delete_thread", made, 204),
    ]
    assert ann != bob
    assert {row["tenant"] for row in found} == {"acme"}
    everything = " ".join(str(value) for row in found for value in row.values())
    assert "ann" not in everything
    assert "words" not in everything


async def test_what_cannot_be_put_on_record_is_not_answered_and_the_log_stays_whole(
    settings: Settings, folder: Path
) -> None:
    async with opened(settings) as (app, client):
        assert (await client.get("/assistants/none", headers=ANN)).status_code == 404
        await execute(app, "ALTER TABLE audit_log RENAME TO away")
        refused = await client.post("/threads", json={"thread_id": "t"}, headers=ANN)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
        assert (await client.get("/threads/t")).status_code == 404  # nobody else's
        await execute(app, "ALTER TABLE away RENAME TO audit_log")
        assert (await client.get("/threads/t", headers=ANN)).status_code == 200
        assert len({row["chain"] for row in await rows(app)}) == 2
    assert verified(settings, folder)[0] == 0


async def test_the_verifier_names_the_first_row_that_was_tampered_with(settings: Settings, folder: Path) -> None:
    async with opened(settings) as (app, client):
        await asyncio.gather(*(client.get("/threads/t", headers=ANN) for _ in range(20)))
        chain = (await rows(app))[0]["chain"]
        heads = folder / "service.log"
        newest = (await rows(app))[-1]
        head = f"{chain}:{newest['number']}:{newest['hash'].hex()}"
        heads.write_text("not json\n" + json.dumps({"event": "audit head", "head": head}) + "\n")
        code, said = verified(settings, folder, "--heads", str(heads))
        assert (code, said.split(";")[0]) == (0, "whole: 20 rows in 1 chains")

        await execute(app, "UPDATE audit_log SET status = 200 WHERE number = 12")
        code, said = verified(settings, folder)
        assert code == 4
        assert f"chain {chain}, row 12:" in said

        await execute(app, "UPDATE audit_log SET status = 404 WHERE number = 12")
        await execute(app, "DELETE FROM audit_log WHERE number > 15")
        assert verified(settings, folder)[0] == 0  # as it says, a missing end is seen only by a head
        code, said = verified(settings, folder, "--heads", str(heads))
        assert code == 4
        assert f"chain {chain}, row 20: is missing; {heads}:2 has seen it" in said


async def test_a_later_chain_holds_where_the_earlier_one_ended(settings: Settings, folder: Path) -> None:
    for _ in range(2):
        async with opened(settings) as (app, client):
            await client.get("/threads/t", headers=ANN)
            await client.get("/threads/t", headers=ANN)
    async with opened(settings) as (app, client):
        first = (await rows(app))[0]["chain"]
        assert verified(settings, folder)[0] == 0
        await execute(app, "DELETE FROM audit_log WHERE chain = (SELECT min(chain) FROM audit_log) AND number = 2")
    code, said = verified(settings, folder)
    assert (code, f"chain {first}, row 2: is missing" in said) == (4, True)


def test_every_route_of_a_scope_has_an_action() -> None:
    caller = Caller("acme", "ann", ALL_SCOPES)
    routes = [route for module in PUBLIC for route in module.router.routes if isinstance(route, APIRoute)]
    actions = {
        f"{method} {route.path}": action_of(
            {"caller": caller, "needs": "run", "method": method, "path": route.path}, 200
        )
        for route in routes
        for method in route.methods or ()
    }
    assert actions["POST /runs/stream"] == actions["POST /threads/{thread_id}/runs"] == "run"
    assert actions["POST /threads/{thread_id}/runs/{run_id}/cancel"] == "change"
    assert actions["POST /runs/crons"] == actions["PATCH /runs/crons/{cron_id}"] == "change"
    assert actions["DELETE /threads/{thread_id}"] == "delete"
    assert None not in actions.values()
