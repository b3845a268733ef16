"""POST /workflow/execute: one run, start to end."""

from __future__ import annotations

from typing import Any, cast
from uuid import uuid4

from fastapi import APIRouter, Response

from app.api.dependencies import ERRORS, RUN, WAIT, CurrentCaller, ReadyService
from app.api.errors import error_response
from app.api.run_answers import FOLLOWED, headers
from app.api.runs import IdempotencyKey
from app.api.schemas import ExecuteRequest, ExecuteResponse
from app.runtime.assistants import thread_metadata
from app.runtime.execution import INTERRUPT
from app.runtime.problems import HandedOver
from app.runtime.run import NewRun, RunRequest
from app.runtime.stream_parts import to_json

router = APIRouter(prefix="/workflow", tags=["workflow"], responses=ERRORS)

FAILURES = {"invalid_input": 422, "run_timeout": 504}  # any other failure of a run is 500


@router.post(
    "/execute", operation_id="execute", response_model=ExecuteResponse, responses=FOLLOWED, dependencies=[RUN, WAIT]
)
async def execute(
    request: ExecuteRequest, service: ReadyService, caller: CurrentCaller, idempotency_key: IdempotencyKey = None
) -> Response:
    """Runs a graph on a thread and answers with its result.

    A thread takes one run at a time: while one is in progress another gets 409 with Retry-After.
    """
    name = await service.threads.graph_for(caller, request.thread_id, request.graph)
    assistant = await service.assistants.get(caller, name)
    accepted = await service.queue.accept(
        NewRun(
            caller=caller,
            run_id=uuid4(),
            thread_id=request.thread_id or str(uuid4()),
            graph_id=name,
            assistant_id=str(assistant.assistant_id),
            request=RunRequest(input=request.input),
            thread_metadata=thread_metadata(assistant),
            strategy="reject",
            priority=request.priority,
            idempotency_key=idempotency_key,
            create_thread=True,
            thread_made_up=request.thread_id is None,
            recorded=False,
        )
    )
    told = headers(accepted.run.thread_id, accepted.run.run_id, "join")
    try:
        result = await service.results.of(caller, accepted)
    except HandedOver as problem:
        return error_response(503, problem.code, problem.message, headers={**told, "retry-after": "1"})
    if result.error:
        status = FAILURES.get(result.error["error"], 500)
        field = "input" if status == 422 else None
        return error_response(status, result.error["error"], result.error["message"], field, told)
    values: Any = result.values
    interrupts: Any = ()
    if isinstance(values, dict) and INTERRUPT in values:
        values = dict(cast("dict[str, Any]", values))
        interrupts = values.pop(INTERRUPT)
    answer: dict[str, Any] = {
        "thread_id": result.thread_id,
        "run_id": str(result.run_id),
        "graph": name,
        "status": result.status,
        "interrupts": interrupts,
        "result": values,
    }
    return Response(to_json(answer), media_type="application/json", headers=told)
