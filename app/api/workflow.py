"""POST /workflow/execute: one run, start to end."""

from __future__ import annotations

from uuid import uuid4

from fastapi import APIRouter

from app.api.dependencies import ERRORS, ReadyService
from app.api.schemas import ExecuteRequest, ExecuteResponse

router = APIRouter(prefix="/workflow", tags=["workflow"], responses=ERRORS)


@router.post("/execute", operation_id="execute")
async def execute(request: ExecuteRequest, service: ReadyService) -> ExecuteResponse:
    """Runs a graph on a thread and answers with its result.

    A thread takes one run at a time: while one is in progress another gets 409 with Retry-After.
    """
    thread_id = request.thread_id or str(uuid4())
    return ExecuteResponse.of(await service.executor.execute(thread_id, request.graph, request.input))
