"""/assistants: the graphs that can be run, and what they look like."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from app.api.assistant_bodies import (
    AssistantBody,
    AssistantConditions,
    AssistantSchemas,
    AssistantSearchBody,
    GraphDrawing,
)
from app.api.dependencies import ERRORS, READ, AnyService
from app.api.selection import page_headers, selected
from app.api.values import json_response
from app.runtime.assistants import AssistantSearch
from app.runtime.graph_schemas import Schemas

router = APIRouter(prefix="/assistants", tags=["assistants"], responses=ERRORS)

AssistantId = Annotated[str, Path(max_length=256, description="An assistant's id, or the name of its graph.")]
Namespace = Annotated[str, Path(max_length=1024, description="The subgraph's path: node names joined by |.")]
Recurse = Annotated[bool, Query(description="Subgraphs of subgraphs too.")]


@router.post("/search", operation_id="search_assistants", response_model=list[AssistantBody], dependencies=[READ])
async def search(body: AssistantSearchBody, service: AnyService) -> Response:
    """The assistants that match."""
    found = service.assistants.search(body.search())
    page = found[body.offset : body.offset + body.limit + 1]
    rows = [selected(asdict(assistant), body.select) for assistant in page[: body.limit]]
    return json_response(rows, headers=page_headers(len(page), body.limit, body.offset))


@router.post("/count", operation_id="count_assistants", dependencies=[READ])
async def count(body: AssistantConditions, service: AnyService) -> int:
    """How many assistants match."""
    return len(service.assistants.search(AssistantSearch(body.graph_id, body.name, body.metadata)))


@router.get("/{assistant_id}", operation_id="get_assistant", response_model=AssistantBody, dependencies=[READ])
async def get(assistant_id: AssistantId, service: AnyService) -> Response:
    """An assistant by its id, or by the name of its graph."""
    return json_response(asdict(service.assistants.get(assistant_id)))


@router.get(
    "/{assistant_id}/graph", operation_id="get_assistant_graph", response_model=GraphDrawing, dependencies=[READ]
)
async def graph(
    assistant_id: AssistantId,
    service: AnyService,
    xray: Annotated[
        str,
        Query(pattern="^([Tt]rue|[Ff]alse|[0-9]{1,2})$", description="Draw subgraphs too: true, or to which depth."),
    ] = "false",
) -> Response:
    """The graph's nodes and edges."""
    depth = int(xray) if xray.isdecimal() else xray.lower() == "true"
    return json_response(await service.assistants.drawing(assistant_id, depth))


@router.get("/{assistant_id}/schemas", operation_id="get_assistant_schemas", dependencies=[READ])
async def schemas(assistant_id: AssistantId, service: AnyService) -> AssistantSchemas:
    """JSON schemas of the graph's input, output, state and context."""
    graph_id = service.assistants.get(assistant_id).graph_id
    return AssistantSchemas(graph_id=graph_id, **await service.assistants.schemas(assistant_id))


@router.get("/{assistant_id}/subgraphs", operation_id="get_assistant_subgraphs", dependencies=[READ])
async def subgraphs(assistant_id: AssistantId, service: AnyService, recurse: Recurse = False) -> dict[str, Schemas]:
    """The schemas of the graph's subgraphs, by namespace."""
    return await service.assistants.subgraphs(assistant_id, None, recurse=recurse)


@router.get("/{assistant_id}/subgraphs/{namespace}", operation_id="get_assistant_subgraph", dependencies=[READ])
async def subgraph(
    assistant_id: AssistantId, namespace: Namespace, service: AnyService, recurse: Recurse = False
) -> dict[str, Schemas]:
    """The schemas of one subgraph; a nested one needs recurse."""
    return await service.assistants.subgraphs(assistant_id, namespace, recurse=recurse)
