"""Limits: who sends too much is told which limit it was and when to come again; nobody else notices."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from app.api.application import PUBLIC
from app.api.dependencies import STREAM
from app.api.run_answers import EventStream
from app.security.caller import ALL_SCOPES, Caller
from app.settings import Settings
from tests.service.application import STEPWISE
from tests.service.backends import redis_server
from tests.service.callers import TENANT, USER, opened
from tests.service.processes import Services
from tests.service.waiting import eventually

pytestmark = pytest.mark.anyio

FAR = "203.0.113.9"
ANN, BOB = {USER: "ann"}, {USER: "bob"}
SLOW = {"user_rate": 0.01, "user_burst": 3, "address_rate": 0.01, "address_burst": 6}
ALWAYS = ("/health", "/ready", "/metrics", "/ok")


async def ask(client: httpx.AsyncClient, times: int, headers: dict[str, str] | None = None) -> list[int]:
    return [(await client.get("/info", headers=headers)).status_code for _ in range(times)]


async def test_a_user_who_is_too_fast_is_told_the_limit_and_when_to_come_again_and_others_go_on(
    settings: Settings,
) -> None:
    async with opened(settings.model_copy(update=SLOW)) as (_, client):
        assert await ask(client, 3, ANN) == [200] * 3
        refused = await client.get("/info", headers=ANN)

        assert refused.status_code == 429
        error = refused.json()["error"]
        assert error["limit"] == {
            "name": "user_rate",
            "value": "0.01 requests a second, 3 at once",
            "retry_after_seconds": int(refused.headers["retry-after"]),
        }
        assert 1 <= int(refused.headers["retry-after"]) <= 100
        assert error["request_id"] == refused.headers["x-request-id"]
        assert await ask(client, 1, BOB) == [200]
        assert await ask(client, 1, ANN | {TENANT: "other"}) == [200]
        assert [(await client.get(path, headers=ANN)).status_code for path in ALWAYS] == [200] * 4
        assert 'agent_limits_refused_total{limit="user_rate"} 1.0' in (await client.get("/metrics")).text


async def test_an_address_that_is_too_fast_is_refused_whoever_signs_in_there(settings: Settings) -> None:
    async with opened(settings.model_copy(update=SLOW), address=FAR) as (_, client):
        users: list[dict[str, str]] = [
            {USER: f"user {number}", "x-forwarded-for": f"8.8.8.{number}"} for number in range(7)
        ]
        statuses = [(await client.get("/info", headers=user)).status_code for user in users]

        assert statuses == [200] * 6 + [429]
        assert [(await client.get(path)).status_code for path in ALWAYS] == [200] * 4


async def test_behind_a_trusted_proxy_each_client_has_its_own_bucket(settings: Settings) -> None:
    behind = settings.model_copy(update={**SLOW, "trusted_proxies": (ip_network("10.0.0.0/8"),)})
    async with opened(behind, address="10.1.2.3") as (_, client):
        assert await ask(client, 7, {"x-forwarded-for": f"made-up, {FAR}"}) == [200] * 6 + [429]
        assert await ask(client, 1, {"x-forwarded-for": f"{FAR}, 198.51.100.1"}) == [200]
        site = [await ask(client, 1, {"x-forwarded-for": f"2001:db8::{number}"}) for number in range(1, 8)]
        assert site == [[200]] * 6 + [[429]]


async def test_the_one_user_of_a_laptop_is_not_limited(settings: Settings) -> None:
    async with opened(settings.model_copy(update=SLOW)) as (_, client):
        assert await ask(client, 20) == [200] * 20


async def test_too_many_open_streams_are_refused_before_their_run_is_accepted(
    settings: Settings,
) -> None:
    few = settings.model_copy(update={"user_streams": 1, "process_streams": 2, "config": STEPWISE})
    body: dict[str, Any] = {"assistant_id": "stepwise", "input": {"steps": []}, "if_not_exists": "create"}
    async with opened(few) as (app, client):
        streams = app.state.service.streams

        async def stream(thread: str, headers: dict[str, str]) -> httpx.Response:
            return await client.post(f"/threads/{thread}/runs/stream", json=body, headers=headers)

        with streams.opened(Caller("acme", "ann", ALL_SCOPES)):
            refused = await stream("one", ANN)
            assert (refused.status_code, refused.json()["error"]["limit"]["name"]) == (429, "user_streams")
            assert (await client.get("/threads/one", headers=ANN)).status_code == 404
            with streams.opened(Caller("acme", "carl", ALL_SCOPES)):
                refused = await stream("two", BOB)
                assert (refused.status_code, refused.json()["error"]["limit"]["name"]) == (429, "process_streams")
        for thread in ("three", "four"):  # the slot is free again when its stream has ended
            assert "event: end" in (await stream(thread, ANN)).text


async def test_a_user_has_so_many_crons_and_no_more_even_when_they_come_at_once(settings: Settings) -> None:
    few = settings.model_copy(update={"user_crons": 3, "config": STEPWISE, "pool_min_size": 8})
    body = {"assistant_id": "stepwise", "schedule": "0 9 * * *", "enabled": False}
    async with opened(few) as (_, client):

        async def create(user: dict[str, str]) -> httpx.Response:
            return await client.post("/runs/crons", json=body, headers=user)

        answers = await asyncio.gather(*(create(ANN) for _ in range(8)))
        made = [answer.json()["cron_id"] for answer in answers if answer.status_code == 200]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert (len(made), len(refused)) == (3, 5)
        assert refused[0].json()["error"]["limit"]["name"] == "user_crons"
        assert refused[0].headers["retry-after"]
        assert (await create(BOB)).status_code == 200
        await client.delete(f"/runs/crons/{made[0]}", headers=ANN)
        assert (await create(ANN)).status_code == 200
        assert [(await create({})).status_code for _ in range(4)] == [200] * 4  # the one user of a laptop


async def test_too_many_waiting_answers_are_refused_before_anything_is_done(settings: Settings) -> None:
    one = settings.model_copy(update={"user_waits": 1, "process_streams": 2, "config": STEPWISE})
    body: dict[str, Any] = {"assistant_id": "stepwise", "input": {"steps": []}, "if_not_exists": "create"}
    async with opened(one) as (app, client):
        streams = app.state.service.streams
        run = (await client.post("/threads/t/runs", json={**body, "after_seconds": 60}, headers=ANN)).json()["run_id"]

        async def ask(method: str, path: str) -> httpx.Response:
            json: Any = None if "t/runs/" in path else body if "runs" in path else {"input": {"steps": []}}
            return await client.request(method, path, json=json, headers=ANN)

        with streams.opened(Caller("acme", "ann", ALL_SCOPES), "waits"):
            for method, path in (
                ("POST", "/threads/new/runs/wait"),
                ("POST", "/runs/wait"),
                ("POST", "/workflow/execute"),
                ("GET", f"/threads/t/runs/{run}/join"),
                ("POST", f"/threads/t/runs/{run}/cancel?wait=true"),
            ):
                refused = await ask(method, path)
                assert (path, refused.status_code) == (path, 429)
                assert refused.json()["error"]["limit"]["name"] == "user_waits"
            assert (await client.get("/threads/new", headers=ANN)).status_code == 404
            assert (await client.get(f"/threads/t/runs/{run}", headers=ANN)).json()["status"] == "pending"
            stream = await ask("POST", "/threads/other/runs/stream")
            assert "event: end" in stream.text
        for _ in range(2):  # a place is free again when its answer has ended
            assert (await ask("POST", "/runs/wait")).status_code == 200
        assert (await ask("POST", f"/threads/t/runs/{run}/cancel?wait=true")).status_code == 204


def test_every_route_that_answers_with_a_stream_counts_it() -> None:
    routes = [route for module in PUBLIC for route in module.router.routes if isinstance(route, APIRoute)]
    streaming = [route for route in routes if route.response_class is EventStream]

    assert streaming
    assert [route.path for route in streaming if STREAM not in route.dependencies] == []


async def test_two_processes_share_buckets_and_limit_without_valkey_too(services: Services, database_url: str) -> None:
    with redis_server() as redis:
        shared = {
            "database_url": database_url,
            "address_rate": 0.01,
            "address_burst": 10,
            "trusted_proxies": "127.0.0.0/8",
            "valkey_url": redis.url,
        }
        both = [services.start(name, **shared) for name in ("one", "two")]

        def count(client: str, times: int) -> int:
            """How many of the requests that alternate between the processes are let through."""
            answers = [
                httpx.get(both[number % 2].url + "/info", headers={"x-forwarded-for": client}).status_code
                for number in range(times)
            ]
            assert set(answers) <= {200, 429}
            return answers.count(200)

        def degraded() -> list[str | None]:
            return [service.get("/ready").json()["degraded"].get("limits") for service in both]

        await eventually(lambda: degraded() == [None, None])
        assert count("198.51.100.1", 30) == 10

        redis.kill()
        assert count("198.51.100.2", 50) == 20  # each by itself
        assert all("Valkey" in (reason or "") for reason in degraded())
        assert [service.get("/ready").status_code for service in both] == [200, 200]
        assert "agent_limits_degraded 1.0" in both[0].get("/metrics").text

        redis.start()
        await eventually(lambda: degraded() == [None, None])
        assert count("198.51.100.3", 30) == 10
        assert "agent_limits_degraded 0.0" in both[0].get("/metrics").text
