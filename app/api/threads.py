"""/threads: make, find, change and delete threads."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any
from uuid import uuid4

import orjson
from fastapi import APIRouter, Header, Response

from app.api.dependencies import ERRORS, READ, RUN, CurrentCaller, ReadyService
from app.api.selection import extracted, page_headers, selected
from app.api.thread_bodies import (
    PruneBody,
    Pruned,
    ThreadBody,
    ThreadConditions,
    ThreadCreate,
    ThreadPatch,
    ThreadSearchBody,
    thread_body,
)
from app.api.values import ThreadId, json_response
from app.runtime.service import Service
from app.runtime.stream_parts import to_json
from app.runtime.threads import MOST_READ
from app.security.caller import Caller
from app.tables.threads import Search, Thread

router = APIRouter(prefix="/threads", tags=["threads"], responses=ERRORS)

Prefer = Annotated[str | None, Header(max_length=256, description="return=minimal for an answer without a body.")]


async def _answer(service: Service, thread: Thread) -> Response:
    return json_response(thread_body(thread, (await service.threads.states([thread])).get(thread.thread_id)))


@router.post("", operation_id="create_thread", response_model=ThreadBody, dependencies=[RUN])
async def create(body: ThreadCreate, service: ReadyService, caller: CurrentCaller) -> Response:
    """Makes a thread; with if_exists=do_nothing answers with the one that is there."""
    thread = await service.threads.create(
        caller,
        body.thread_id or str(uuid4()),
        body.metadata,
        graph_id=body.graph_id,
        ttl_seconds=body.ttl_seconds,
        if_exists=body.if_exists,
        supersteps=[[update.as_langgraph() for update in step.updates] for step in body.supersteps],
    )
    return await _answer(service, thread)


@router.post("/search", operation_id="search_threads", response_model=list[ThreadBody], dependencies=[READ])
async def search(body: ThreadSearchBody, service: ReadyService, caller: CurrentCaller) -> Response:
    """The threads that match."""
    found = await _search(service, caller, body.search(), body.values)
    page = found[: body.limit]
    states = await service.threads.states(page) if body.reads_state else {}
    rows = [_row(thread_body(thread, states.get(thread.thread_id)), body) for thread in page]
    return json_response(rows, headers=page_headers(len(found), body.limit, body.offset))


@router.post("/count", operation_id="count_threads", dependencies=[READ])
async def count(body: ThreadConditions, service: ReadyService, caller: CurrentCaller) -> int:
    """How many threads match."""
    wanted = Search(metadata=body.metadata, status=body.status, ids=body.ids)
    if body.values:
        return len(await service.threads.with_values(caller, replace(wanted, limit=MOST_READ), body.values))
    return await service.threads.count(caller, wanted)


@router.post("/prune", operation_id="prune_threads", dependencies=[RUN])
async def prune(body: PruneBody, service: ReadyService, caller: CurrentCaller) -> Pruned:
    """Deletes threads, or their older states. With keep_latest those that a run works on are passed over."""
    act = service.threads.delete_many if body.strategy == "delete" else service.threads.prune
    return Pruned(pruned_count=await act(caller, body.thread_ids))


@router.post("/{thread_id}/copy", operation_id="copy_thread", response_model=ThreadBody, dependencies=[RUN])
async def copy(thread_id: ThreadId, service: ReadyService, caller: CurrentCaller) -> Response:
    """Makes a new thread with the same history."""
    return await _answer(service, await service.threads.copy(caller, thread_id, str(uuid4())))


@router.get("/{thread_id}", operation_id="get_thread", response_model=ThreadBody, dependencies=[READ])
async def get(thread_id: ThreadId, service: ReadyService, caller: CurrentCaller) -> Response:
    """The thread with its values."""
    return await _answer(service, await service.threads.get(caller, thread_id))


@router.patch(
    "/{thread_id}",
    operation_id="change_thread",
    response_model=ThreadBody,
    responses={204: {"description": "Changed"}},
    dependencies=[RUN],
)
async def change(
    thread_id: ThreadId, body: ThreadPatch, service: ReadyService, caller: CurrentCaller, prefer: Prefer = None
) -> Response:
    """Adds to the thread's metadata, or sets its time to live."""
    thread = await service.threads.change(caller, thread_id, body.metadata, body.ttl_seconds)
    return Response(status_code=204) if prefer == "return=minimal" else await _answer(service, thread)


@router.delete("/{thread_id}", operation_id="delete_thread", status_code=204, dependencies=[RUN])
async def delete(thread_id: ThreadId, service: ReadyService, caller: CurrentCaller) -> None:
    """Erases the thread, its runs, their events and its checkpoints. A run in progress stops."""
    await service.threads.delete(caller, thread_id)


async def _search(service: Service, caller: Caller, wanted: Search, values: dict[str, Any]) -> list[Thread]:
    if values:
        return await service.threads.with_values(caller, wanted, values)
    return await service.threads.search(caller, wanted)


def _row(body: ThreadBody, asked: ThreadSearchBody) -> dict[str, Any]:
    row = selected(body, asked.select)
    if asked.extract:
        # A path reads messages and models as their JSON.
        row["extracted"] = extracted(orjson.loads(to_json(body)), asked.extract)
    return row
