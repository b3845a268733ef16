"""/runs: runs on a thread of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal
from uuid import uuid4

from fastapi import APIRouter, Body, Response

from app.api import runs
from app.api.dependencies import ERRORS, RUN, STREAM, WAIT, CurrentCaller, ReadyService
from app.api.run_answers import EVENTS, FOLLOWED, EventStream, cancels, headers, json_answer, stream_answer
from app.api.run_bodies import BatchRunBody, CancelManyBody, ExistingRun, StatelessRunBody, existing_run
from app.api.runs import IdempotencyKey
from app.runtime.problems import UnknownRun
from app.runtime.run import Run
from app.runtime.run_queue import Accepted, RunSelection
from app.runtime.service import Service
from app.security.caller import Caller

router = APIRouter(prefix="/runs", tags=["stateless runs"], responses=ERRORS, dependencies=[RUN])


async def _accept(
    service: Service, caller: Caller, body: StatelessRunBody, key: str | None, *, recorded: bool
) -> Accepted:
    assistant = await service.assistants.get(caller, body.assistant_id)
    new = body.run(caller, str(uuid4()), assistant, recorded=recorded, idempotency_key=key)
    own = replace(new, create_thread=True, thread_made_up=True, thread_ttl_seconds=body.ttl_seconds)
    return await service.queue.accept(own)


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
    return existing_run(run)


@router.post("/batch", operation_id="create_runs")
async def create_batch(
    bodies: Annotated[list[BatchRunBody], Body(min_length=1, max_length=100)],
    service: ReadyService,
    caller: CurrentCaller,
) -> list[ExistingRun]:
    """Accepts all of the runs or, when one cannot be, none."""
    accepted: list[Run] = []
    try:
        for body in bodies:
            if body.thread_id is None:
                made = await _accept(service, caller, body, None, recorded=True)
            else:
                made = await runs.accept(service, caller, body.thread_id, body, None, recorded=True)
            accepted.append(made.run)
    except Exception:
        wanted = RunSelection(run_ids=[run.run_id for run in accepted])
        await service.queue.cancel_many(caller, wanted, "rollback")
        raise
    return [existing_run(run) for run in accepted]


@router.post("/cancel", operation_id="cancel_runs", status_code=204)
async def cancel_many(
    body: CancelManyBody,
    service: ReadyService,
    caller: CurrentCaller,
    action: Literal["interrupt", "rollback"] = "interrupt",
) -> None:
    """Ends all runs that meet the conditions; 404 when there is none that has not ended."""
    if not await service.queue.cancel_many(caller, body.selection(), action):
        raise UnknownRun("No run that has not ended meets the conditions.", field="body")


@router.post("/wait", operation_id="wait_for_stateless_run", responses=FOLLOWED, dependencies=[WAIT])
async def wait(
    body: StatelessRunBody, service: ReadyService, caller: CurrentCaller, idempotency_key: IdempotencyKey = None
) -> Response:
    """Accepts a run and answers with its values when it has ended."""
    accepted = await _accept(service, caller, body, idempotency_key, recorded=False)
    return await json_answer(service, caller, accepted, cancels(service, caller, accepted.run, body.on_disconnect))


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
    run = accepted.run
    when_left = cancels(service, caller, run, body.on_disconnect)
    return stream_answer(service, run.thread_id, run.run_id, queued=accepted.queued, when_left=when_left)
