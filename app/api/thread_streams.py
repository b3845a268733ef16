"""/threads/{thread_id}/stream, /stream/events and /commands: a thread followed through all of its runs."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query

from app.api.dependencies import ERRORS, READ, RUN, STREAM, CurrentCaller, ReadyService
from app.api.protocol_bodies import Command, CommandAnswer, Subscription
from app.api.protocol_commands import carry_out
from app.api.protocol_events import first_run, protocol_events, refuse_to_end
from app.api.run_answers import EVENTS, SSE_HEADERS, EventStream, frame
from app.api.runs import LastEventId
from app.api.state_bodies import state_body
from app.api.values import ThreadId
from app.runtime.service import Service
from app.runtime.stream_parts import to_json
from app.security.caller import Caller
from app.tables.run_events import Event

router = APIRouter(prefix="/threads/{thread_id}", tags=["thread streams"], responses=ERRORS)

ThreadStreamMode = Literal["run_modes", "lifecycle", "state_update"]
HEARTBEAT = b": heartbeat\n\n"
PLACE = re.compile(r"(\d{1,18})-(\d{1,18})")  # a run's number and the last of its events that was seen
CHANGED_BY_HAND = {"update", "fork"}  # LangGraph's names for it in a checkpoint's metadata


@router.post("/commands", operation_id="command_thread", dependencies=[RUN])
async def command(thread_id: ThreadId, body: Command, service: ReadyService, caller: CurrentCaller) -> CommandAnswer:
    """Starts a run, or answers a question. What cannot be is told in the body, as the protocol has it."""
    return await carry_out(service, caller, thread_id, body)


@router.post(
    "/stream/events",
    operation_id="subscribe_to_thread",
    response_class=EventStream,
    response_model=None,
    responses=EVENTS,
    dependencies=[READ, STREAM],
)
async def subscribe(
    thread_id: ThreadId, body: Subscription, service: ReadyService, caller: CurrentCaller
) -> EventStream:
    """The events of the thread's runs in the words of the event streaming protocol, until the client leaves."""
    number = await first_run(service, caller, thread_id, body)
    return EventStream(_protocol_frames(service, caller, thread_id, number, body), SSE_HEADERS)


@router.get(
    "/stream",
    operation_id="join_thread_stream",
    response_class=EventStream,
    response_model=None,
    responses=EVENTS,
    dependencies=[READ, STREAM],
)
async def join(
    thread_id: ThreadId,
    service: ReadyService,
    caller: CurrentCaller,
    stream_mode: Annotated[list[ThreadStreamMode] | None, Query()] = None,
    last_event_id: LastEventId = None,
) -> EventStream:
    """The events of the thread's runs from now on, or after Last-Event-ID, until the client leaves."""
    present = await service.thread_streams.present(caller, thread_id)
    place = PLACE.fullmatch(last_event_id or "")
    number, after = (int(place[1]), int(place[2])) if place else (present, 0)
    modes = stream_mode or ["run_modes"]
    again = f"/threads/{thread_id}/stream?" + "&".join(f"stream_mode={mode}" for mode in modes)
    # Read before the answer begins: whoever sees it begin is told of every change from then on.
    known = await _state(service, caller, thread_id) if "state_update" in modes else None
    frames = _frames(service, caller, thread_id, number, after, modes, known)
    return EventStream(frames, {**SSE_HEADERS, "location": again})


async def _protocol_frames(
    service: Service, caller: Caller, thread_id: str, number: int, wanted: Subscription
) -> AsyncGenerator[bytes]:
    async for event in protocol_events(service, caller, thread_id, number, wanted):
        yield frame("message", orjson.dumps(event), str(event["seq"])) if event else HEARTBEAT


async def _frames(
    service: Service,
    caller: Caller,
    thread_id: str,
    number: int,
    after: int,
    modes: Sequence[ThreadStreamMode],
    known: dict[str, Any] | None,
) -> AsyncGenerator[bytes]:
    async for run, item in service.thread_streams.follow(caller, thread_id, number, after):
        if run is None or item is None:
            yield HEARTBEAT
            if run is None and known is not None:
                before, known = known, await _state(service, caller, thread_id)
                changed = known["checkpoint_id"] != before["checkpoint_id"]
                if changed and known["metadata"].get("source") in CHANGED_BY_HAND:
                    yield frame("state_update", to_json({"thread_id": thread_id, "state": known}))
        elif isinstance(item, Event):
            if "run_modes" in modes or (item.event == "metadata" and "lifecycle" in modes):
                yield frame(item.event, item.data, f"{run.number}-{item.id}")
        elif "run_modes" in modes or "lifecycle" in modes:
            done = {"status": "run_done", "run_id": str(run.run_id)}
            yield frame("metadata", orjson.dumps(done), f"{run.number + 1}-0")
    refuse_to_end(service)
    yield frame("end", b"null")


async def _state(service: Service, caller: Caller, thread_id: str) -> dict[str, Any]:
    return dict(state_body(await service.threads.state(caller, thread_id)))
