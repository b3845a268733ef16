"""/threads/{thread_id}/state and /history: what a thread knows, what it knew, and changes by hand."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from app.api.dependencies import ERRORS, READ, RUN, CurrentCaller, ReadyService
from app.api.selection import selected
from app.api.state_bodies import (
    CheckpointBody,
    CheckpointRequest,
    HistoryQuery,
    RollbackRequest,
    StateBody,
    StateField,
    StateQuery,
    StateUpdate,
    UpdatedState,
    checkpoint_body,
    state_body,
)
from app.api.values import Identifier, ThreadId, json_response

router = APIRouter(prefix="/threads/{thread_id}", tags=["thread state"], responses=ERRORS)

CheckpointId = Annotated[Identifier, Path()]
Subgraphs = Annotated[bool, Query(description="With the states of subgraphs that are under way.")]
Select = Annotated[list[StateField] | None, Query(description="Only these fields; values.key is one key.")]


@router.get("/state", operation_id="get_thread_state", response_model=StateBody, dependencies=[READ])
async def state(
    thread_id: ThreadId,
    service: ReadyService,
    caller: CurrentCaller,
    subgraphs: Subgraphs = False,
    select: Select = None,
) -> Response:
    """The thread as it is now. A thread without a run has an empty state and no checkpoint."""
    snapshot = await service.threads.state(caller, thread_id, subgraphs=subgraphs)
    return json_response(selected(state_body(snapshot), select))


@router.post("/state", operation_id="update_thread_state", dependencies=[RUN])
async def update(thread_id: ThreadId, body: StateUpdate, service: ReadyService, caller: CurrentCaller) -> UpdatedState:
    """Writes values as if a node had returned them; from an older checkpoint this begins a branch."""
    head = await service.threads.update_state(caller, thread_id, body.supersteps(), checkpoint=body.address())
    made: CheckpointBody = checkpoint_body({"configurable": head})
    return UpdatedState(checkpoint=made, configurable=made, checkpoint_id=made["checkpoint_id"])


@router.post("/state/checkpoint", operation_id="get_thread_state_at", response_model=StateBody, dependencies=[READ])
async def state_at(thread_id: ThreadId, body: StateQuery, service: ReadyService, caller: CurrentCaller) -> Response:
    """The thread as it was at a checkpoint, or as it is now."""
    snapshot = await service.threads.state(caller, thread_id, body.checkpoint.address(), subgraphs=body.subgraphs)
    return json_response(selected(state_body(snapshot), body.select))


@router.get(
    "/state/{checkpoint_id}", operation_id="get_thread_state_at_id", response_model=StateBody, dependencies=[READ]
)
async def state_at_id(
    thread_id: ThreadId,
    checkpoint_id: CheckpointId,
    service: ReadyService,
    caller: CurrentCaller,
    subgraphs: Subgraphs = False,
    select: Select = None,
) -> Response:
    """The thread as it was at a checkpoint."""
    snapshot = await service.threads.state(caller, thread_id, {"checkpoint_id": checkpoint_id}, subgraphs=subgraphs)
    return json_response(selected(state_body(snapshot), select))


@router.get("/history", operation_id="get_thread_history", response_model=list[StateBody], dependencies=[READ])
async def history(
    thread_id: ThreadId,
    service: ReadyService,
    caller: CurrentCaller,
    limit: Annotated[int, Query(ge=1, le=1000)] = 10,
    before: Annotated[Identifier | None, Query(description="A checkpoint's id; only older ones are listed.")] = None,
) -> Response:
    """The thread's states, newest first."""
    older_than = CheckpointRequest(checkpoint_id=before) if before else None
    return await search_history(thread_id, HistoryQuery(limit=limit, before=older_than), service, caller)


@router.post("/history", operation_id="search_thread_history", response_model=list[StateBody], dependencies=[READ])
async def search_history(
    thread_id: ThreadId, body: HistoryQuery, service: ReadyService, caller: CurrentCaller
) -> Response:
    """The thread's states that match, newest first."""
    found = await service.threads.history(
        caller,
        thread_id,
        body.limit,
        before=(body.before.address() or None) if body.before else None,
        metadata=body.metadata,
        checkpoint=body.checkpoint.address(),
    )
    return json_response([selected(state_body(snapshot), body.select) for snapshot in found])


@router.post("/rollback", operation_id="roll_back_thread", response_model=StateBody, dependencies=[RUN])
async def roll_back(
    thread_id: ThreadId, body: RollbackRequest, service: ReadyService, caller: CurrentCaller
) -> Response:
    """Makes an earlier checkpoint the newest one; nothing is deleted."""
    return json_response(state_body(await service.threads.roll_back(caller, thread_id, body.checkpoint_id)))
