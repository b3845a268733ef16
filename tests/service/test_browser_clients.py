"""What browser clients (the JavaScript SDK's useStream, Agent Chat UI) send and read, as plain HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from app.settings import Settings
from tests.service.application import OpenClient
from tests.service.projects.conversation.conversation import ANSWER
from tests.service.sdk import CHAT_ORIGIN

pytestmark = pytest.mark.anyio

HELLO = {"messages": [{"type": "human", "content": "what is the weather like?"}]}


@pytest.fixture
async def browser(conversation_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    headers = {"origin": CHAT_ORIGIN, "x-api-key": "any"}
    async with httpx.AsyncClient(base_url=conversation_url, headers=headers, timeout=30) as client:
        yield client


def events_of(text: str) -> list[tuple[str, str, Any]]:
    """(id, event, data) of a stream; the id is empty where there is none."""
    found: list[tuple[str, str, Any]] = []
    for frame in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in frame.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
    return found


async def streamed(browser: httpx.AsyncClient, thread_id: str, **body: Any) -> httpx.Response:
    answer = await browser.post(f"/threads/{thread_id}/runs/stream", json={"assistant_id": "talk", **body})
    assert answer.status_code == 200, answer.text
    return answer


async def test_a_preflight_of_a_known_origin_is_let_through_with_any_header(browser: httpx.AsyncClient) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,x-api-key"}
    answer = await browser.options("/threads/t/runs/stream", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == CHAT_ORIGIN
    assert "x-api-key" in answer.headers["access-control-allow-headers"]
    for method in ("GET", "POST", "PATCH", "DELETE"):
        assert method in answer.headers["access-control-allow-methods"]


async def test_another_origin_is_not_let_through(browser: httpx.AsyncClient) -> None:
    foreign = {"origin": "https://evil.example.com", "access-control-request-method": "POST"}
    refused = await browser.options("/threads", headers=foreign)
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers
    answer = await browser.get("/info", headers={"origin": "https://evil.example.com"})
    assert "access-control-allow-origin" not in answer.headers


async def test_a_browser_can_read_where_its_run_is_and_errors_too(browser: httpx.AsyncClient) -> None:
    thread_id = (await browser.post("/threads", json={})).json()["thread_id"]
    answer = await streamed(browser, thread_id, input=HELLO)
    exposed = {name.strip() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert {"content-location", "location", "x-request-id", "x-pagination-total"} <= exposed
    run_id = events_of(answer.text)[0][2]["run_id"]
    assert answer.headers["content-location"] == f"/threads/{thread_id}/runs/{run_id}"
    assert answer.headers["location"] == f"/threads/{thread_id}/runs/{run_id}/stream"
    refused = await browser.get("/threads/nobody")
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (404, CHAT_ORIGIN)


async def test_without_the_setting_no_origin_is_let_through(open_client: OpenClient) -> None:
    async with open_client() as client:
        answer = await client.get("/info", headers={"origin": CHAT_ORIGIN})
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("origin", ["chat.example.com", "https://chat.example.com/app", "https://a b", "ftp://x", ""])
def test_what_is_no_origin_is_refused_at_the_start(origin: str) -> None:
    with pytest.raises(ValidationError):
        Settings(database_url=SecretStr("postgresql://x/y"), cors_origins=(origin,))


async def test_a_chat_makes_a_thread_streams_tokens_and_finds_the_thread_again(browser: httpx.AsyncClient) -> None:
    thread_id = (await browser.post("/threads", json={"metadata": {"user": str(uuid4())}})).json()["thread_id"]
    answer = await streamed(
        browser,
        thread_id,
        input=HELLO,
        stream_mode=["values", "messages-tuple", "custom"],
        stream_subgraphs=True,
        stream_resumable=True,
        on_disconnect="continue",
        config=None,
        context=None,
        checkpoint=None,
        metadata=None,
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = events_of(answer.text)
    assert [event_id for event_id, _, _ in events[:-1]] == [str(number) for number in range(1, len(events))]
    assert events[-1] == ("", "end", None)
    tokens = [data[0]["content"] for _, event, data in events if event == "messages"]
    assert "".join(tokens) == ANSWER

    talk = (await browser.get("/assistants/talk")).json()["assistant_id"]
    for wanted in ({"graph_id": "talk"}, {"assistant_id": talk}):
        found = await browser.post("/threads/search", json={"metadata": wanted, "limit": 1000})
        rows = {row["thread_id"]: row for row in found.json()}
        assert rows[thread_id]["values"]["messages"][-1]["content"] == ANSWER
    history = await browser.post(f"/threads/{thread_id}/history", json={"limit": 1000})
    assert history.json()[0]["values"]["messages"][-1]["content"] == ANSWER


async def test_a_reloaded_page_joins_the_stream_after_the_last_event_it_saw(browser: httpx.AsyncClient) -> None:
    thread_id = (await browser.post("/threads", json={})).json()["thread_id"]
    first = await streamed(browser, thread_id, input=HELLO, stream_mode=["values", "messages-tuple"])
    events = events_of(first.text)
    path = first.headers["location"]
    seen = events[3][0]
    again = await browser.get(path, headers={"last-event-id": seen})
    assert events_of(again.text) == events[4:]
    assert events_of((await browser.get(path, headers={"last-event-id": "-1"})).text) == events


async def test_a_search_says_whether_there_is_another_page(browser: httpx.AsyncClient) -> None:
    mark = {"mark": str(uuid4())}
    for _ in range(3):
        await browser.post("/threads", json={"metadata": mark})
    first = await browser.post("/threads/search", json={"metadata": mark, "limit": 2})
    assert (len(first.json()), first.headers["x-pagination-next"]) == (2, "2")
    last = await browser.post("/threads/search", json={"metadata": mark, "limit": 2, "offset": 2})
    assert (len(last.json()), last.headers["x-pagination-total"]) == (1, "3")
    assert "x-pagination-next" not in last.headers


async def test_older_clients_name_a_checkpoint_in_their_config(browser: httpx.AsyncClient) -> None:
    thread_id = (await browser.post("/threads", json={})).json()["thread_id"]
    await streamed(browser, thread_id, input=HELLO)
    history = (await browser.get(f"/threads/{thread_id}/history")).json()
    asked = next(state for state in history if state["next"] == ["answer"])
    older = {"configurable": {"thread_id": thread_id, "checkpoint_id": asked["checkpoint_id"]}}
    before = await browser.post(f"/threads/{thread_id}/history", json={"before": older})
    assert [state["checkpoint_id"] for state in before.json()] == [
        state["checkpoint_id"] for state in history[history.index(asked) + 1 :]
    ]
    await streamed(browser, thread_id, input=None, config=older)
    newest = (await browser.get(f"/threads/{thread_id}/state")).json()
    assert len(newest["values"]["messages"]) == 2
    assert newest["checkpoint_id"] != history[0]["checkpoint_id"]


async def test_info_tells_versions_and_features_and_ok_answers(browser: httpx.AsyncClient) -> None:
    info = (await browser.get("/info")).json()
    assert info["flags"]["assistants"] is True
    assert info["langgraph_py_version"].startswith("1.")
    assert (await browser.get("/ok")).json() == {"ok": True}


async def test_the_queue_is_told_by_priority(browser: httpx.AsyncClient) -> None:
    thread_id = (await browser.post("/threads", json={})).json()["thread_id"]
    body: dict[str, Any] = {"assistant_id": "steps", "input": {"steps": []}, "priority": "low", "after_seconds": 600}
    run = (await browser.post(f"/threads/{thread_id}/runs", json=body)).json()
    queue = (await browser.get("/queue")).json()
    assert list(queue) == ["high", "normal", "low"]
    assert queue["low"]["delayed"] >= 1
    assert (await browser.post(f"/threads/{thread_id}/runs/{run['run_id']}/cancel")).status_code == 202
