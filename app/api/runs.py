"""/threads/{thread_id}/runs: start, follow, list and cancel runs of a thread."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response

from app.api.dependencies import ERRORS, READ, RUN, STREAM, WAIT, CurrentCaller, ReadyService
from app.api.run_answers import EVENTS, FOLLOWED, EventStream, cancels, headers, json_answer, stream_answer
from app.api.run_bodies import ExistingRun, RunBody, RunField, existing_run
from app.api.selection import selected
from app.api.values import ThreadId, json_response
from app.runtime.problems import Forbidden
from app.runtime.run import Status
from app.runtime.run_queue import Accepted
from app.runtime.service import Service
from app.security.caller import Caller

router = APIRouter(prefix="/threads/{thread_id}/runs", tags=["runs"], responses=ERRORS)

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=256,
        pattern=r"^[\x20-\x7e]+$",
        description="A repetition with the same key gets the first run's answer.",
    ),
]
# What a client says it has seen; anything that is no number of ours begins the stream anew.
LastEventId = Annotated[str | None, Header(max_length=64)]


async def accept(
    service: Service, caller: Caller, thread_id: str, body: RunBody, key: str | None, *, recorded: bool
) -> Accepted:
    assistant = await service.assistants.get(caller, body.assistant_id)
    if address := body.checkpoint_address():
        await service.threads.require_checkpoint(caller, thread_id, address)
    return await service.queue.accept(body.run(caller, thread_id, assistant, recorded=recorded, idempotency_key=key))


@router.post("", operation_id="create_run", dependencies=[RUN])
async def create(
    thread_id: ThreadId,
    body: RunBody,
    service: ReadyService,
    caller: CurrentCaller,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> ExistingRun:
    """Accepts a run and answers at once; it is executed whatever happens to this process."""
    accepted = await accept(service, caller, thread_id, body, idempotency_key, recorded=True)
    response.headers["content-location"] = headers(thread_id, accepted.run.run_id, "join")["content-location"]
    return existing_run(accepted.run)


@router.post("/wait", operation_id="wait_for_run", responses=FOLLOWED, dependencies=[RUN, WAIT])
async def wait(
    thread_id: ThreadId,
    body: RunBody,
    service: ReadyService,
    caller: CurrentCaller,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Accepts a run and answers with the thread's values when it has ended."""
    accepted = await accept(service, caller, thread_id, body, idempotency_key, recorded=False)
    return await json_answer(service, caller, accepted, cancels(service, caller, accepted.run, body.on_disconnect))


@router.post(
    "/stream",
    operation_id="stream_run",
    response_class=EventStream,
    response_model=None,
    responses=EVENTS,
    dependencies=[RUN, STREAM],
)
async def stream(
    thread_id: ThreadId,
    body: RunBody,
    service: ReadyService,
    caller: CurrentCaller,
    idempotency_key: IdempotencyKey = None,
) -> EventStream:
    """Accepts a run and answers with its events as they happen."""
    accepted = await accept(service, caller, thread_id, body, idempotency_key, recorded=True)
    when_left = cancels(service, caller, accepted.run, body.on_disconnect)
    return stream_answer(service, thread_id, accepted.run.run_id, queued=accepted.queued, when_left=when_left)


@router.get("", operation_id="list_runs", response_model=list[ExistingRun], dependencies=[READ])
async def list_runs(
    thread_id: ThreadId,
    service: ReadyService,
    caller: CurrentCaller,
    limit: Annotated[int, Query(ge=1, le=1000)] = 10,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    status: Status | None = None,
    select: Annotated[list[RunField] | None, Query(description="Only these fields.")] = None,
) -> Response:
    """The thread's runs, newest first."""
    await service.threads.get(caller, thread_id)
    found = await service.results.of_thread(caller, thread_id, status, limit, offset)
    kwargs = "kwargs" in (select or ())
    return json_response([selected(existing_run(run, kwargs=kwargs), select) for run in found])


@router.get("/{run_id}", operation_id="get_run", dependencies=[READ])
async def get(thread_id: ThreadId, run_id: UUID, service: ReadyService, caller: CurrentCaller) -> ExistingRun:
    """The run's status, and its error when it failed."""
    return existing_run(await service.results.get(caller, thread_id, run_id))


@router.delete("/{run_id}", operation_id="delete_run", status_code=204, dependencies=[RUN])
async def delete(thread_id: ThreadId, run_id: UUID, service: ReadyService, caller: CurrentCaller) -> None:
    """Forgets a run that has ended, with its events; what it wrote to its thread stays."""
    await service.queue.delete(caller, thread_id, run_id)


@router.get("/{run_id}/join", operation_id="join_run", responses=FOLLOWED, dependencies=[READ, WAIT])
async def join(thread_id: ThreadId, run_id: UUID, service: ReadyService, caller: CurrentCaller) -> Response:
    """Waits for the run's end and answers with the thread's values."""
    run = await service.results.get(caller, thread_id, run_id)
    return await json_answer(service, caller, Accepted(run, new=False))


@router.get(
    "/{run_id}/stream",
    operation_id="join_run_stream",
    response_class=EventStream,
    response_model=None,
    responses=EVENTS,
    dependencies=[READ, STREAM],
)
async def join_stream(
    thread_id: ThreadId,
    run_id: UUID,
    service: ReadyService,
    caller: CurrentCaller,
    stream_mode: Annotated[list[str] | None, Query()] = None,
    last_event_id: LastEventId = None,
    cancel_on_disconnect: Annotated[bool, Query(description="Cancel the run when this stream is left.")] = False,
) -> EventStream:
    """The run's events after Last-Event-ID, or all of them."""
    run = await service.results.get(caller, thread_id, run_id)
    after = int(last_event_id) if last_event_id and last_event_id.isdecimal() and len(last_event_id) <= 18 else 0
    if cancel_on_disconnect and "run" not in caller.scopes:
        raise Forbidden("cancel_on_disconnect: this needs the scope run, which your token does not have. Leave it out.")
    when_left = cancels(service, caller, run, "cancel" if cancel_on_disconnect else "continue")
    return stream_answer(service, thread_id, run_id, after, _shown(stream_mode), when_left=when_left)


@router.post(
    "/{run_id}/cancel",
    operation_id="cancel_run",
    status_code=202,
    responses={204: {"description": "Ended, as waited for."}},
    dependencies=[RUN],
)
async def cancel(
    thread_id: ThreadId,
    run_id: UUID,
    service: ReadyService,
    caller: CurrentCaller,
    response: Response,
    wait: bool = False,
    action: Literal["interrupt", "rollback"] = "interrupt",
) -> None:
    """Ends the run: what it stored is kept, or taken back with the run itself."""
    with service.streams.opened(caller, "waits") if wait else nullcontext():
        await service.queue.cancel(caller, thread_id, run_id, action)
        if wait:
            await service.results.ended(caller, thread_id, run_id)
            response.status_code = 204


def _shown(modes: list[str] | None) -> frozenset[str] | None:
    modes = [mode for mode in modes or () if mode]  # the SDK sends an empty one for none
    if not modes:
        return None
    return frozenset({"messages" if mode == "messages-tuple" else mode for mode in modes}) | {"metadata"}
