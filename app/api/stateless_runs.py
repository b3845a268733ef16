"""/runs: runs on a thread of their own."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from fastapi import APIRouter, Response

from app.api.dependencies import ERRORS, RUN, STREAM, CurrentCaller, ReadyService
from app.api.run_answers import EVENTS, FOLLOWED, EventStream, headers, json_answer, stream_answer
from app.api.run_bodies import ExistingRun, StatelessRunBody
from app.api.runs import IdempotencyKey
from app.runtime.run_queue import Accepted
from app.runtime.service import Service
from app.security.caller import Caller

router = APIRouter(prefix="/runs", tags=["stateless runs"], responses=ERRORS, dependencies=[RUN])


async def _accept(
    service: Service, caller: Caller, body: StatelessRunBody, key: str | None, *, recorded: bool
) -> Accepted:
    assistant = await service.assistants.get(caller, body.assistant_id)
    new = body.run(caller, str(uuid4()), assistant, recorded=recorded, idempotency_key=key)
    return await service.queue.accept(replace(new, create_thread=True, thread_ttl_seconds=body.ttl_seconds))


@router.post("", operation_id="create_stateless_run")
async def create(
    body: StatelessRunBody,
    service: ReadyService,
    caller: CurrentCaller,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> ExistingRun:
    """Accepts a run and answers at once."""
    run = (await _accept(service, caller, body, idempotency_key, recorded=True)).run
    response.headers["content-location"] = headers(run.thread_id, run.run_id, "join")["content-location"]
    return ExistingRun.of(run)


@router.post("/wait", operation_id="wait_for_stateless_run", responses=FOLLOWED)
async def wait(
    body: StatelessRunBody, service: ReadyService, caller: CurrentCaller, idempotency_key: IdempotencyKey = None
) -> Response:
    """Accepts a run and answers with its values when it has ended."""
    accepted = await _accept(service, caller, body, idempotency_key, recorded=False)
    return await json_answer(service, caller, accepted)


@router.post(
    "/stream",
    operation_id="stream_stateless_run",
    response_class=EventStream,
    response_model=None,
    responses=EVENTS,
    dependencies=[STREAM],
)
async def stream(
    body: StatelessRunBody, service: ReadyService, caller: CurrentCaller, idempotency_key: IdempotencyKey = None
) -> EventStream:
    """Accepts a run and answers with its events as they happen."""
    accepted = await _accept(service, caller, body, idempotency_key, recorded=True)
    return stream_answer(service, accepted.run.thread_id, accepted.run.run_id, queued=accepted.queued)
