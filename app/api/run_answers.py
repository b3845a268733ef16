"""Answers that follow a run: its events as SSE, or its end as JSON. Either survives the process that began it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from uuid import UUID

import orjson
from fastapi import Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api.dependencies import ERRORS
from app.api.errors import ErrorBody
from app.api.requests import arrived_at
from app.runtime.problems import HandedOver, RunEnded, UnknownRun
from app.runtime.results import Result
from app.runtime.run import Run
from app.runtime.run_queue import Accepted
from app.runtime.service import Service
from app.runtime.stream_parts import to_json
from app.security.caller import Caller
from app.tables.run_events import Event

# A short run is answered in one piece. A longer one shows its Location first: with it a client finds the run again
# when this process dies.
AT_ONCE_SECONDS = 0.25
HEARTBEAT_SECONDS = 5.0

FIRST_OF_GRAPH = 2  # event 1 only says which attempt this is

TAKEN_BACK = {"error": "rolled_back", "message": "The run was taken back."}

JSON = "application/json"
SSE_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class FollowedAnswer(StreamingResponse):
    """An answer that lasts; `when_left` is done when the client goes away before its end."""

    def __init__(
        self,
        content: AsyncGenerator[bytes],
        headers: Mapping[str, str],
        when_left: Callable[[], Awaitable[None]] | None = None,
        media_type: str | None = None,
        status_code: int = 200,  # FastAPI's document reads the default
    ) -> None:
        super().__init__(self._watched(content), status_code, headers, media_type)
        self._when_left = when_left
        self._over = False

    async def _watched(self, content: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        try:
            async for part in content:
                yield part
        except HandedOver:
            self._over = True  # it is this process that goes away
            raise
        self._over = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self._when_left and not self._over:
                await asyncio.shield(asyncio.ensure_future(self._when_left()))


class EventStream(FollowedAnswer):
    """Server-sent events: metadata, those of the run's stream modes, gap, error, end."""

    media_type = "text/event-stream"


# For the OpenAPI document, which knows one media type a route: the errors of a stream are JSON all the same.
_ERROR = {"application/json": {"schema": {"$ref": f"#/components/schemas/{ErrorBody.__name__}"}}}
# Tools take the schema of a stream for that of each of its events.
_EVENT = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "id": {"type": "string", "description": "For Last-Event-ID; counts from 1."},
        "event": {"type": "string", "description": "metadata, a stream mode with |namespace, gap, error or end."},
        "data": {"type": "string", "description": "JSON."},
    },
}
FOLLOWED: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            "Content-Location": {"description": "The run.", "schema": {"type": "string"}},
            "Location": {
                "description": "Where to ask again when the connection is lost.",
                "schema": {"type": "string"},
            },
        }
    }
}
EVENTS: dict[int | str, dict[str, Any]] = {
    **{status: {"description": HTTPStatus(int(status)).phrase, "content": _ERROR} for status in ERRORS},
    200: {
        "description": "Events as they happen, with ids to take the stream up again.",
        "content": {EventStream.media_type: {"schema": _EVENT}},
        **FOLLOWED[200],
    },
}


def run_path(thread_id: str, run_id: UUID) -> str:
    return f"/threads/{thread_id}/runs/{run_id}"


def headers(thread_id: str, run_id: UUID, follow: str) -> dict[str, str]:
    """What SDK clients reconnect with: `follow` is stream or join."""
    path = run_path(thread_id, run_id)
    return {"content-location": path, "location": f"{path}/{follow}"}


def stream_answer(
    service: Service,
    thread_id: str,
    run_id: UUID,
    after: int = 0,
    modes: frozenset[str] | None = None,
    *,
    queued: bool = False,
    when_left: Callable[[], Awaitable[None]] | None = None,
) -> EventStream:
    """The run's events with an id above `after`, at best of the given modes. `queued`: see EventLog.follow."""
    return EventStream(
        _frames(service, run_id, after, modes, queued=queued),
        headers={**SSE_HEADERS, **headers(thread_id, run_id, "stream")},
        when_left=when_left,
    )


def cancels(service: Service, caller: Caller, run: Run, on_disconnect: str) -> Callable[[], Awaitable[None]] | None:
    """What is done when the client goes away: nothing, or the run's end."""
    if on_disconnect != "cancel":
        return None

    async def cancel() -> None:
        with suppress(RunEnded, UnknownRun):
            await service.queue.cancel(caller, run.thread_id, run.run_id, "interrupt")

    return cancel


async def _frames(
    service: Service, run_id: UUID, after: int, modes: frozenset[str] | None, *, queued: bool
) -> AsyncGenerator[bytes]:
    """Breaks off when the process leaves. A clean end would not do: when the run has ended meanwhile, SDK clients then
    take its last events for read.
    """
    next_id = after + 1
    metrics = service.metrics
    metrics.streams_open.inc()
    try:
        async for item in service.events.follow(run_id, after, queued=queued):
            if item is None:
                yield b": heartbeat\n\n"
            elif isinstance(item, Event):
                if item.id == FIRST_OF_GRAPH and not after:
                    metrics.time_to_first_event.observe(time.monotonic() - arrived_at.get())
                if item.id > next_id:
                    yield _gap(next_id, item.id - 1)
                next_id = item.id + 1
                if modes is None or item.event.partition("|")[0].partition("/")[0] in modes:
                    yield frame(item.event, item.data, str(item.id))
            else:
                if next_id == after + 1 and not await service.events.kept(run_id):
                    yield _gap(next_id, None)
                if item.error:
                    yield frame("error", to_json(item.error))
                yield frame("end", b"null")
                return
        raise HandedOver(f"This process stops. Ask another for the events of run {run_id} after {next_id - 1}.")
    except UnknownRun:
        yield frame("error", to_json(TAKEN_BACK))
    finally:
        metrics.streams_open.dec()


async def json_answer(
    service: Service, caller: Caller, accepted: Accepted, when_left: Callable[[], Awaitable[None]] | None = None
) -> Response:
    """The thread's values when the run has ended; a run that failed is told of in the body, as the SDK expects."""
    run = accepted.run
    told = headers(run.thread_id, run.run_id, "join")
    waiting = asyncio.ensure_future(service.results.of(caller, accepted))
    done, _ = await asyncio.wait((waiting,), timeout=AT_ONCE_SECONDS)
    if done and not isinstance(waiting.exception(), HandedOver):
        return Response(_answer(waiting), media_type=JSON, headers=told)
    return FollowedAnswer(_slowly(waiting), told, when_left, JSON)


async def _slowly(waiting: asyncio.Future[Result]) -> AsyncGenerator[bytes]:
    """Spaces before the JSON keep proxies and clients from giving up; HandedOver breaks the connection."""
    try:
        while not waiting.done():
            yield b" "
            await asyncio.wait((waiting,), timeout=HEARTBEAT_SECONDS)
        yield _answer(waiting)
    finally:
        waiting.cancel()


def _answer(ended: asyncio.Future[Result]) -> bytes:
    try:
        return to_json(body_of(ended.result()))
    except UnknownRun:
        return to_json({"__error__": TAKEN_BACK})


def body_of(result: Result) -> Any:
    return {"__error__": result.error} if result.error else result.values


def frame(event: str, data: bytes, event_id: str | None = None) -> bytes:
    first = b"" if event_id is None else b"id: %s\n" % event_id.encode()
    return first + b"event: %s\ndata: %s\n\n" % (event.encode(), data)


def _gap(first: int, last: int | None) -> bytes:
    """Events that are not kept any more, or never were; an unknown number of them when `last` is null."""
    return frame("gap", orjson.dumps({"from": first, "to": last}))
