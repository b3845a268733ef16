"""What a careless or hostile client sends gets a clear answer and never a 500."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from pydantic import SecretStr

from app.settings import Settings
from tests.service.application import OpenClient
from tests.service.conftest import fresh_database, opened_client

pytestmark = pytest.mark.anyio

JSON_HEADERS = {"content-type": "application/json"}
FINE = {"messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="module")
async def client(postgres_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    """One service for all of them: none may harm it for the next."""
    with fresh_database(postgres_url) as url:
        async with opened_client(Settings(database_url=SecretStr(url))) as opened:
            yield opened


def error_of(answer: httpx.Response) -> dict[str, Any]:
    error = answer.json()["error"]
    assert error["request_id"] == answer.headers["x-request-id"]
    return error


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b'{"input": {"text": "\xff\xfe"}}', "body"),
        (b'{"input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "body"),
        (b'{"input": ' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}", "input"),
        (b"[]", "body"),
        (b"{}", "input"),
        (b'{"input": "text"}', "input"),
        (b'{"input": {}, "thread": "x"}', "thread"),
        (b'{"input": {}, "thread_id": 5}', "thread_id"),
        (b'{"input": {}, "thread_id": "a b"}', "thread_id"),
        (b'{"input": {}, "thread_id": "\'; DROP TABLE checkpoints; --"}', "thread_id"),
        (b'{"input": {"messages": [{"role": "user", "content": "a\\u0000b"}]}}', "input"),
        (b'{"input": {"messages": [{"role": "user", "content": "\\ud800"}]}}', "input"),
        (b'{"input": {"n": 123456789012345678901234567890}}', "input"),
        (b'{"input": {"n": NaN}}', "input"),
        (b'{"input": {"n": 1e999}}', "input"),
        (b'{"input": {"messages": 5}}', "input"),
        (b'{"input": {"messages": [{"role": "wizard", "content": "x"}]}}', "input"),
        (b'{"input": {"messages": [{"type": "remove", "id": "none", "content": ""}]}}', "input"),
        (b'{"input": {"unknown": 1}}', "input"),
    ],
)
async def test_a_bad_body_is_a_422_that_names_the_field(client: httpx.AsyncClient, body: bytes, field: str) -> None:
    answer = await client.post("/workflow/execute", content=body, headers=JSON_HEADERS)
    assert answer.status_code == 422, answer.text
    assert error_of(answer)["field"] == field


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/threads", b'{"metadata": {"n": 123456789012345678901234567890}}', "metadata"),
        ("/threads", b'{"metadata": ' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}", "metadata"),
        ("/threads", b'{"ttl": 1e999}', "ttl.ttl"),
        ("/threads", b'{"ttl": {"ttl": 5, "strategy": "keep_latest"}}', "ttl.strategy"),
        ("/threads", b'{"supersteps": [{"updates": []}]}', "supersteps.0.updates"),
        ("/threads/search", b'{"metadata": {"\\ud800": 1}}', "metadata"),
        ("/threads/search", b'{"offset": 99999999999999999999}', "offset"),
        ("/threads/search", b'{"extract": {"a": "values' + b"[0]" * 100_000 + b'x"}}', "extract"),
        ("/threads/t/state", b'{"values": {"n": 1e999}}', "values"),
        ("/threads/t/state", b'{"values": {}, "as_node": "\\ud800"}', "as_node"),
        ("/threads/t/state/checkpoint", b"{}", "checkpoint"),
        ("/threads/t/history", b'{"before": {"checkpoint_id": ["x"]}}', "before.checkpoint_id"),
        ("/threads/t/runs", b'{"input": {}}', "assistant_id"),
        ("/threads/t/runs", b'{"assistant_id": "a", "config": {"tags": ["\\ud800"]}}', "config.tags.0"),
        ("/threads/t/runs", b'{"assistant_id": "a", "config": {"configurable": {"n": 1e999}}}', "config.configurable"),
        ("/threads/t/runs", b'{"assistant_id": "a", "interrupt_before": ["\\u0000"]}', "interrupt_before.0"),
        ("/threads/t/runs", b'{"assistant_id": "a", "command": {"goto": 5}}', "command.goto"),
        ("/threads/t/runs/wait", b'{"assistant_id": "a", "input": {}, "command": {"resume": 1}}', "body"),
        ("/runs/wait", b'{"assistant_id": "a", "checkpoint_id": "x"}', "body"),
        ("/assistants/search", b'{"select": []}', "select"),
    ],
)
async def test_a_bad_body_of_the_sdks_routes_is_a_422_that_names_the_field(
    client: httpx.AsyncClient, path: str, body: bytes, field: str
) -> None:
    answer = await client.post(path, content=body, headers=JSON_HEADERS)
    assert answer.status_code == 422, answer.text
    assert error_of(answer)["field"] == field


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_limit_is_a_413_whether_announced_or_not(
    client: httpx.AsyncClient, announced: bool
) -> None:
    async def chunks() -> AsyncGenerator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    content = b" " * 2_000_000 if announced else chunks()
    answer = await client.post("/workflow/execute", content=content, headers=JSON_HEADERS)
    assert answer.status_code == 413
    assert error_of(answer)["code"] == "body_too_large"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/threads/nobody/state", 404, "unknown_thread"),
        ("GET", "/threads/nobody/history", 404, "unknown_thread"),
        ("GET", "/threads/a%20b/state", 422, "invalid_request"),
        ("GET", "/threads/a%00b/state", 422, "invalid_request"),
        ("GET", "/threads/%27%20OR%201=1--/state", 422, "invalid_request"),
        ("GET", "/threads/" + "x" * 129 + "/state", 422, "invalid_request"),
        ("GET", "/threads/known/history?limit=-1", 422, "invalid_request"),
        ("GET", "/threads/known/history?limit=1000000", 422, "invalid_request"),
        ("GET", "/threads/known/history?limit=ten", 422, "invalid_request"),
        ("GET", "/threads/known/history?before=nothing", 404, "unknown_checkpoint"),
        ("GET", "/threads/known/history?before=%27", 422, "invalid_request"),
        ("GET", "/nowhere", 404, "not_found"),
        ("DELETE", "/workflow/execute", 405, "method_not_allowed"),
    ],
)
async def test_a_bad_address_has_its_status_and_code(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    await client.post("/workflow/execute", json={"thread_id": "known", "input": FINE})
    answer = await client.request(method, path)
    assert (answer.status_code, error_of(answer)["code"]) == (status, code)


async def test_an_unknown_graph_or_checkpoint_is_a_404_and_lists_what_there_is(client: httpx.AsyncClient) -> None:
    unknown = await client.post("/workflow/execute", json={"graph": "nope", "input": FINE})
    assert unknown.status_code == 404
    assert "support_triage" in error_of(unknown)["message"]
    await client.post("/workflow/execute", json={"thread_id": "known", "input": FINE})
    missing = await client.post("/threads/known/rollback", json={"checkpoint_id": "nope"})
    assert (missing.status_code, error_of(missing)["code"]) == (404, "unknown_checkpoint")
    nobody = await client.post("/threads/nobody/rollback", json={"checkpoint_id": "nope"})
    assert (nobody.status_code, error_of(nobody)["code"]) == (404, "unknown_thread")


async def test_an_input_of_foreign_keys_lists_those_the_graph_takes(client: httpx.AsyncClient) -> None:
    answer = await client.post("/workflow/execute", json={"input": {"message": "hello"}})
    assert "It takes: messages" in error_of(answer)["message"]


async def test_a_refused_input_leaves_no_state_behind(open_client: OpenClient, database_url: str) -> None:
    async with open_client() as client:
        await client.post("/workflow/execute", json={"thread_id": "fresh", "input": {"messages": 5}})
        assert (await client.get("/threads/fresh/state")).json()["values"] == {}
    with psycopg.connect(database_url) as connection:
        for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes"):
            assert connection.execute(SQL("SELECT count(*) FROM {}").format(Identifier(table))).fetchone() == (0,)


async def test_a_refused_input_leaves_the_thread_as_it_was(client: httpx.AsyncClient) -> None:
    await client.post("/workflow/execute", json={"thread_id": "known", "input": FINE})
    before = (await client.get("/threads/known/history", params={"limit": 100})).json()
    refused = await client.post("/workflow/execute", json={"thread_id": "known", "input": {"messages": 5}})
    assert refused.status_code == 422
    assert (await client.get("/threads/known/history", params={"limit": 100})).json() == before
    assert (await client.post("/workflow/execute", json={"thread_id": "known", "input": FINE})).status_code == 200


@pytest.mark.parametrize(
    "content",
    ["", " ", "🙂" * 1000, "a " * 400_000, [{"type": "text", "text": "where is my invoice"}], "'; DROP TABLE x; --"],
)
async def test_any_text_is_answered(client: httpx.AsyncClient, content: object) -> None:
    body = json.dumps({"input": {"messages": [{"role": "user", "content": content}]}})
    answer = await client.post("/workflow/execute", content=body, headers=JSON_HEADERS)
    assert answer.status_code == 200, answer.text
    assert answer.json()["result"]["answer"]["text"]


async def test_a_strange_request_id_is_replaced_and_a_good_one_kept(client: httpx.AsyncClient) -> None:
    kept = await client.get("/health", headers={"x-request-id": "trace-1.a:b"})
    assert kept.headers["x-request-id"] == "trace-1.a:b"
    for strange in ("with space", "x" * 129, '{"a":1}'):
        replaced = (await client.get("/health", headers={"x-request-id": strange})).headers["x-request-id"]
        assert len(replaced) == 36
