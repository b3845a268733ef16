"""A thread's events by WebSocket: what the handshake refuses, and what ends the connection."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from langgraph_sdk import get_client
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.settings import Settings
from tests.service.processes import Services
from tests.service.sdk import CHAT_ORIGIN, CONVERSATION, Sdk, followed, new_thread, served
from tests.service.waiting import eventually, eventually_async

pytestmark = pytest.mark.anyio

STEPS: dict[str, Any] = {"steps": []}
VALUES = {"id": 7, "method": "subscription.subscribe", "params": {"channels": ["values"]}}


def address(url: str, thread_id: str) -> str:
    return f"ws{url.removeprefix('http')}/threads/{thread_id}/stream/events"


async def frames(connection: ClientConnection) -> list[Any]:
    """All that come until the other end closes."""
    found: list[Any] = []
    try:
        async with asyncio.timeout(20):
            async for frame in connection:
                found.append(orjson.loads(frame))
    except ConnectionClosed:
        pass
    return found


@pytest.fixture
async def thread_id(conversation_url: str) -> str:
    async with get_client(url=conversation_url, api_key=None) as client:
        return await new_thread(client)


@pytest.mark.parametrize(
    ("thread", "origin", "status", "code"),
    [
        ("nowhere", None, 404, "unknown_thread"),
        ("no~id", None, 422, "invalid_request"),
        (None, "https://elsewhere.example.com", 403, "forbidden_origin"),
    ],
)
async def test_what_cannot_be_followed_is_refused_in_the_handshake(
    conversation_url: str, thread_id: str, thread: str | None, origin: Any, status: int, code: str
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(address(conversation_url, thread or thread_id), origin=origin)
    answer = refused.value.response
    told = orjson.loads(answer.body or b"")["error"]
    assert (answer.status_code, told["code"]) == (status, code)
    assert answer.headers["x-request-id"]


async def test_a_page_of_an_allowed_origin_may_follow(conversation_url: str, thread_id: str) -> None:
    async with connect(address(conversation_url, thread_id), origin=CHAT_ORIGIN) as connection:  # pyright: ignore[reportArgumentType]  a NewType of str
        await connection.send(orjson.dumps(VALUES).decode())
        assert orjson.loads(await connection.recv())["result"] == {"subscription_id": "1"}


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ("not JSON", "frame: Invalid JSON"),
        (b"\xff", "frame: Invalid JSON"),
        ({**VALUES, "method": "run.start"}, "method: Input should be 'subscription.subscribe'"),
        ({**VALUES, "params": {"channels": []}}, "params.channels: "),
    ],
)
async def test_what_is_no_subscription_ends_the_connection_with_its_fault(
    conversation_url: str, thread_id: str, sent: Any, said: str
) -> None:
    async with connect(address(conversation_url, thread_id)) as connection:
        await connection.send(orjson.dumps(sent).decode() if isinstance(sent, dict) else sent)
        [told] = await frames(connection)
    assert (told["type"], told["id"], told["error"]) == ("error", None, "invalid_argument")
    assert told["message"].startswith(said)
    assert connection.close_code == 4422


async def test_a_second_frame_ends_the_connection(conversation_url: str, thread_id: str) -> None:
    async with connect(address(conversation_url, thread_id)) as connection:
        for _ in range(2):
            await connection.send(orjson.dumps(VALUES).decode())
        assert (await frames(connection))[-1]["error"] == "not_supported"
    assert connection.close_code == 4422


async def test_the_connection_ends_with_its_thread(conversation_url: str, thread_id: str) -> None:
    client, following = get_client(url=conversation_url, api_key=None), connect(address(conversation_url, thread_id))
    async with client, following as connection:
        await connection.send(orjson.dumps(VALUES).decode())
        await connection.recv()
        await client.threads.delete(thread_id)
        assert await frames(connection) == []
    assert connection.close_code == 1000


async def test_connections_count_as_streams_and_are_free_again_when_they_end(database_url: str) -> None:
    settings = Settings(database_url=SecretStr(database_url), config=CONVERSATION, process_streams=1)
    with served(settings) as url:
        async with get_client(url=url, api_key=None) as client:
            thread = await new_thread(client)
        async with connect(address(url, thread)):
            with pytest.raises(InvalidStatus) as refused:
                await connect(address(url, thread))
            assert refused.value.response.status_code == 429
            assert refused.value.response.headers["retry-after"]

        async def free() -> bool:
            try:
                async with connect(address(url, thread)):
                    return True
            except InvalidStatus:
                return False

        await eventually_async(free)


async def test_a_follower_is_sent_elsewhere_when_its_process_drains(services: Services) -> None:
    service = services.start(config=CONVERSATION)
    client: Sdk
    async with (
        get_client(url=service.url, api_key=None) as client,
        followed(client, "steps", transport="websocket") as t,
    ):
        await t.run.start(input=STEPS)
        await t.output
        async with connect(address(service.url, t.thread_id)) as connection:
            await connection.send(orjson.dumps(VALUES).decode())
            await connection.recv()
            service.process.terminate()
            await frames(connection)
    assert connection.close_code == 1012
    await eventually(lambda: service.process.poll() == 0)
    lines = [line for line in service.logged() if line.get("route") == "/threads/{thread_id}/stream/events"]
    assert {line["status"] for line in lines} == {101}
    assert [line for line in service.logged() if line["level"] in {"ERROR", "CRITICAL"}] == []
