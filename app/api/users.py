"""/admin/users/{user}: an administrator looks after the threads and the data of a user of the same tenant."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse
from langgraph.checkpoint.base import CheckpointTuple
from pydantic import BaseModel, Field

from app.api.dependencies import ADMIN, ERRORS, CurrentCaller, ReadyService
from app.api.run_answers import JSON
from app.api.selection import page_headers
from app.api.thread_bodies import ThreadBody, thread_body
from app.api.values import Identifier, json_response
from app.runtime.service import Service
from app.runtime.stream_parts import to_json
from app.security.audit import note
from app.security.caller import Caller
from app.tables.threads import Search

router = APIRouter(prefix="/admin/users/{user:path}", tags=["admin"], responses=ERRORS, dependencies=[ADMIN])

UserName = Annotated[str, Path(min_length=1, max_length=256, description="As tokens name the user.")]


class End(BaseModel):
    """Which sessions to end, and whether to erase what they were about."""

    thread_ids: list[Identifier] | None = Field(default=None, max_length=1000, description="All of them when left out.")
    erase: bool = False


class Ended(BaseModel):
    runs: int
    threads: int = Field(description="Erased.")


async def _meant(service: Service, caller: Caller, user: str) -> Caller:
    """The user, who is on record by the subject and not by name."""
    meant = Caller(tenant=caller.tenant, user=user, scopes=frozenset())
    if subject := await service.users.subject(meant):
        note(object=str(subject))
    return meant


@router.get("/threads", operation_id="list_threads_of_user", response_model=list[ThreadBody])
async def threads(
    user: UserName,
    caller: CurrentCaller,
    service: ReadyService,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0,
) -> Response:
    """The user's threads, those used last first, without what was said in them."""
    meant = await _meant(service, caller, user)
    found = await service.threads.search(meant, Search({}, None, None, limit=limit + 1, offset=offset))
    bodies = [thread_body(thread, None) for thread in found[:limit]]
    return json_response(bodies, headers=page_headers(len(found), limit, offset))


@router.post("/end", operation_id="end_sessions_of_user")
async def end(user: UserName, body: End, caller: CurrentCaller, service: ReadyService) -> Ended:
    """Ends the user's runs, disables the crons that would begin others, and erases the threads if asked."""
    meant = await _meant(service, caller, user)
    runs, erased = await service.users.end(meant, body.thread_ids, erase=body.erase)
    return Ended(runs=runs, threads=erased)


@router.get("/export", operation_id="export_user", response_model=list[dict[str, Any]])
async def export(user: UserName, caller: CurrentCaller, service: ReadyService) -> Response:
    """All that is kept about the user, as a list of objects, each with the table it comes from."""
    meant = await _meant(service, caller, user)
    return StreamingResponse(_listed(service, meant), media_type=JSON)


@router.delete("", operation_id="erase_user")
async def erase(user: UserName, caller: CurrentCaller, service: ReadyService) -> dict[str, int]:
    """Erases all that is kept about the user; by table, how many rows. Revoke the user's tokens first."""
    return await service.users.erase(await _meant(service, caller, user))


async def _listed(service: Service, user: Caller) -> AsyncGenerator[bytes]:
    before = b"[\n"
    async for table, row in _everything(service, user):
        yield before + to_json({"table": table, **row})
        before = b",\n"
    yield b"[]" if before == b"[\n" else b"\n]"


async def _everything(service: Service, user: Caller) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
    thread_ids: list[str] = []
    async for table, row in service.users.rows(user):
        yield table, {name: _readable(value) for name, value in row.items()}
        if table == "threads":
            thread_ids.append(row["thread_id"])
    for thread_id in thread_ids:
        async for state in service.users.states(thread_id):
            yield "states", _state(thread_id, state)


def _state(thread_id: str, state: CheckpointTuple) -> dict[str, Any]:
    return {
        "thread_id": thread_id,
        "checkpoint_ns": state.config.get("configurable", {}).get("checkpoint_ns"),
        "checkpoint_id": state.checkpoint["id"],
        "created_at": state.checkpoint["ts"],
        "metadata": state.metadata,
        "values": state.checkpoint["channel_values"],
        "writes": [{"channel": channel, "value": value} for _, channel, value in state.pending_writes or ()],
    }


def _readable(value: Any) -> Any:
    """Requests and events are kept as the bytes of their JSON."""
    if not isinstance(value, bytes):
        return value
    try:
        return orjson.loads(value)
    except ValueError:
        return value.hex()
