"""/runs/crons: runs that begin by themselves."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Response

from app.api.cron_bodies import (
    CronBody,
    CronConditions,
    CronPatch,
    CronSearchBody,
    ExistingCron,
    existing_cron,
)
from app.api.dependencies import ERRORS, READ, RUN, CurrentCaller, ReadyService
from app.api.selection import page_headers, selected
from app.api.values import ThreadId, json_response
from app.tables.crons import Search

router = APIRouter(tags=["crons"], responses=ERRORS)


@router.post("/runs/crons", operation_id="create_cron", response_model=ExistingCron, dependencies=[RUN])
async def create(body: CronBody, service: ReadyService, caller: CurrentCaller) -> Response:
    """Makes a cron; each of its runs has a thread of its own."""
    return json_response(existing_cron(await service.crons.create(caller, body.cron(None))))


@router.post(
    "/threads/{thread_id}/runs/crons",
    operation_id="create_thread_cron",
    response_model=ExistingCron,
    dependencies=[RUN],
)
async def create_for_thread(
    thread_id: ThreadId, body: CronBody, service: ReadyService, caller: CurrentCaller
) -> Response:
    """Makes a cron whose runs go on with a thread; it goes with the thread."""
    return json_response(existing_cron(await service.crons.create(caller, body.cron(thread_id))))


@router.post("/runs/crons/search", operation_id="search_crons", response_model=list[ExistingCron], dependencies=[READ])
async def search(body: CronSearchBody, service: ReadyService, caller: CurrentCaller) -> Response:
    """The crons that match."""
    found = await service.crons.search(caller, body.search())
    rows = [selected(existing_cron(cron), body.select) for cron in found[: body.limit]]
    return json_response(rows, headers=page_headers(len(found), body.limit, body.offset))


@router.post("/runs/crons/count", operation_id="count_crons", dependencies=[READ])
async def count(body: CronConditions, service: ReadyService, caller: CurrentCaller) -> int:
    """How many crons match."""
    wanted = Search(assistant_id=body.assistant_id, thread_id=body.thread_id, metadata=body.metadata)
    return await service.crons.count(caller, wanted)


@router.patch("/runs/crons/{cron_id}", operation_id="update_cron", response_model=ExistingCron, dependencies=[RUN])
async def update(cron_id: UUID, body: CronPatch, service: ReadyService, caller: CurrentCaller) -> Response:
    """Changes a cron; another time, or being enabled again, counts from now."""
    changed = await service.crons.change(caller, cron_id, body.changes(), body.request_changes(), body.webhook)
    return json_response(existing_cron(changed))


@router.delete("/runs/crons/{cron_id}", operation_id="delete_cron", status_code=204, dependencies=[RUN])
async def delete(cron_id: UUID, service: ReadyService, caller: CurrentCaller) -> None:
    """Deletes a cron; its runs stay."""
    await service.crons.delete(caller, cron_id)
