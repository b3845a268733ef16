"""/assistants: the graphs that can be run, under which settings, and what they look like."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Path, Query, Response

from app.api.assistant_bodies import (
    AssistantBody,
    AssistantChange,
    AssistantConditions,
    AssistantCreate,
    AssistantSchemas,
    AssistantSearchBody,
    GraphDrawing,
    LatestVersion,
    VersionsQuery,
)
from app.api.dependencies import ERRORS, READ, RUN, AnyService, CurrentCaller, ReadyService
from app.api.selection import page_headers, selected
from app.api.values import json_response
from app.runtime.graph_schemas import Schemas
from app.runtime.run_queue import RunSelection
from app.tables.assistants import AssistantSearch

router = APIRouter(prefix="/assistants", tags=["assistants"], responses=ERRORS)

AssistantId = Annotated[str, Path(max_length=256, description="An assistant's id, or the name of its graph.")]
Namespace = Annotated[str, Path(max_length=1024, description="The subgraph's path: node names joined by |.")]
Recurse = Annotated[bool, Query(description="Subgraphs of subgraphs too.")]


@router.post("", operation_id="create_assistant", response_model=AssistantBody, dependencies=[RUN])
async def create(body: AssistantCreate, service: ReadyService, caller: CurrentCaller) -> Response:
    """Makes an assistant of a graph; with if_exists=do_nothing answers with the one that is there."""
    made = await service.assistants.create(caller, body.assistant_id or uuid4(), body.content(), body.if_exists)
    return json_response(asdict(made))


@router.post("/search", operation_id="search_assistants", response_model=list[AssistantBody], dependencies=[READ])
async def search(body: AssistantSearchBody, service: ReadyService, caller: CurrentCaller) -> Response:
    """The assistants that match: one's own, and those of the graphs, which everybody has."""
    found = await service.assistants.search(caller, body.search())
    rows = [selected(asdict(assistant), body.select) for assistant in found[: body.limit]]
    return json_response(rows, headers=page_headers(len(found), body.limit, body.offset))


@router.post("/count", operation_id="count_assistants", dependencies=[READ])
async def count(body: AssistantConditions, service: ReadyService, caller: CurrentCaller) -> int:
    """How many assistants match."""
    return await service.assistants.count(caller, AssistantSearch(body.graph_id, body.name, body.metadata))


@router.get("/{assistant_id}", operation_id="get_assistant", response_model=AssistantBody, dependencies=[READ])
async def get(assistant_id: AssistantId, service: AnyService, caller: CurrentCaller) -> Response:
    """An assistant by its id, or by the name of its graph."""
    return json_response(asdict(await service.assistants.get(caller, assistant_id)))


@router.patch("/{assistant_id}", operation_id="change_assistant", response_model=AssistantBody, dependencies=[RUN])
async def change(
    assistant_id: AssistantId, body: AssistantChange, service: ReadyService, caller: CurrentCaller
) -> Response:
    """Makes a new version of it, which runs use from now on."""
    return json_response(asdict(await service.assistants.change(caller, assistant_id, body.changes())))


@router.delete("/{assistant_id}", operation_id="delete_assistant", status_code=204, dependencies=[RUN])
async def delete(
    assistant_id: AssistantId,
    service: ReadyService,
    caller: CurrentCaller,
    delete_threads: Annotated[bool, Query(description="Also the threads that its runs wrote to.")] = False,
) -> None:
    """Erases it with its versions, and cancels its runs."""
    await service.assistants.delete(caller, assistant_id)
    await service.queue.cancel_many(caller, RunSelection(assistant_id=assistant_id), "interrupt")
    if delete_threads:
        await service.threads.delete_of_assistant(caller, assistant_id)


@router.post(
    "/{assistant_id}/versions",
    operation_id="search_assistant_versions",
    response_model=list[AssistantBody],
    dependencies=[READ],
)
async def versions(
    assistant_id: AssistantId, body: VersionsQuery, service: ReadyService, caller: CurrentCaller
) -> Response:
    """Its versions, newest first."""
    found = await service.assistants.versions(caller, assistant_id, body.metadata, body.limit, body.offset)
    return json_response(found)


@router.post(
    "/{assistant_id}/latest", operation_id="set_latest_assistant", response_model=AssistantBody, dependencies=[RUN]
)
async def set_latest(
    assistant_id: AssistantId, body: LatestVersion, service: ReadyService, caller: CurrentCaller
) -> Response:
    """Goes back to an earlier version."""
    return json_response(asdict(await service.assistants.set_latest(caller, assistant_id, body.version)))


@router.get(
    "/{assistant_id}/graph", operation_id="get_assistant_graph", response_model=GraphDrawing, dependencies=[READ]
)
async def graph(
    assistant_id: AssistantId,
    service: AnyService,
    caller: CurrentCaller,
    xray: Annotated[
        str,
        Query(pattern="^([Tt]rue|[Ff]alse|[0-9]{1,2})$", description="Draw subgraphs too: true, or to which depth."),
    ] = "false",
) -> Response:
    """The graph's nodes and edges."""
    depth = int(xray) if xray.isdecimal() else xray.lower() == "true"
    return json_response(await service.assistants.drawing(await service.assistants.get(caller, assistant_id), depth))


@router.get("/{assistant_id}/schemas", operation_id="get_assistant_schemas", dependencies=[READ])
async def schemas(assistant_id: AssistantId, service: AnyService, caller: CurrentCaller) -> AssistantSchemas:
    """JSON schemas of the graph's input, output, state and context."""
    assistant = await service.assistants.get(caller, assistant_id)
    return AssistantSchemas(graph_id=assistant.graph_id, **await service.assistants.schemas(assistant))


@router.get("/{assistant_id}/subgraphs", operation_id="get_assistant_subgraphs", dependencies=[READ])
async def subgraphs(
    assistant_id: AssistantId, service: AnyService, caller: CurrentCaller, recurse: Recurse = False
) -> dict[str, Schemas]:
    """The schemas of the graph's subgraphs, by namespace."""
    assistant = await service.assistants.get(caller, assistant_id)
    return await service.assistants.subgraphs(assistant, None, recurse=recurse)


@router.get("/{assistant_id}/subgraphs/{namespace}", operation_id="get_assistant_subgraph", dependencies=[READ])
async def subgraph(
    assistant_id: AssistantId,
    namespace: Namespace,
    service: AnyService,
    caller: CurrentCaller,
    recurse: Recurse = False,
) -> dict[str, Schemas]:
    """The schemas of one subgraph; a nested one needs recurse."""
    assistant = await service.assistants.get(caller, assistant_id)
    return await service.assistants.subgraphs(assistant, namespace, recurse=recurse)
