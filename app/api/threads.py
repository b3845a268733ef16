"""/threads/{thread_id}: state, history, and rolling back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from app.api.dependencies import ERRORS, ReadyService
from app.api.schemas import HistoryBody, RollbackRequest, ThreadStateBody
from app.api.values import THREAD_ID_PATTERN, Identifier

router = APIRouter(prefix="/threads/{thread_id}", tags=["threads"], responses=ERRORS)

ThreadId = Annotated[str, Path(pattern=THREAD_ID_PATTERN)]


@router.get("/state", operation_id="thread_state")
async def state(thread_id: ThreadId, service: ReadyService) -> ThreadStateBody:
    """The thread as it is now."""
    return ThreadStateBody.of(await service.threads.state(thread_id))


@router.get("/history", operation_id="thread_history")
async def history(
    thread_id: ThreadId,
    service: ReadyService,
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
    before: Annotated[Identifier | None, Query(description="A checkpoint; only older ones are listed.")] = None,
) -> HistoryBody:
    """The thread's checkpoints, newest first."""
    # One more than asked for tells whether there is another page.
    found = [ThreadStateBody.of(state) for state in await service.threads.history(thread_id, limit + 1, before)]
    page = found[:limit]
    return HistoryBody(
        thread_id=thread_id, checkpoints=page, next_before=page[-1].checkpoint_id if len(found) > limit else None
    )


@router.post("/rollback", operation_id="roll_back_thread")
async def roll_back(thread_id: ThreadId, request: RollbackRequest, service: ReadyService) -> ThreadStateBody:
    """Makes an earlier checkpoint the newest one; nothing is deleted."""
    return ThreadStateBody.of(await service.threads.roll_back(thread_id, request.checkpoint_id))
