"""Assistants as the SDK asks for them and reads them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field
from typing_extensions import TypedDict

from app.api.values import JsonObject, SdkBody
from app.runtime.assistants import AssistantSearch, SortKey
from app.runtime.graph_schemas import Schemas

AssistantField = Literal[
    "assistant_id",
    "graph_id",
    "name",
    "description",
    "config",
    "context",
    "metadata",
    "version",
    "created_at",
    "updated_at",
]


class AssistantConditions(SdkBody):
    """Which assistants are meant. All of them without a condition."""

    graph_id: str | None = Field(default=None, max_length=256)
    name: str | None = Field(default=None, max_length=256, description="A part of the name, in any case.")
    metadata: JsonObject = Field(default_factory=dict[str, Any])


class AssistantSearchBody(AssistantConditions):
    """Which assistants, in which order, and which of their fields."""

    limit: int = Field(default=10, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=1_000_000)
    sort_by: SortKey | None = Field(default=None, description="The order of langgraph.json when left out.")
    sort_order: Literal["asc", "desc"] = "asc"
    select: list[AssistantField] | None = Field(default=None, min_length=1)

    def search(self) -> AssistantSearch:
        return AssistantSearch(self.graph_id, self.name, self.metadata, self.sort_by, self.sort_order == "desc")


class AssistantBody(TypedDict, total=False):
    """An assistant as the SDK reads it; all fields, unless a search selects some."""

    assistant_id: UUID
    graph_id: str
    name: str
    description: str | None
    config: dict[str, Any]
    context: dict[str, Any]
    metadata: dict[str, Any]
    version: int
    created_at: datetime
    updated_at: datetime


class GraphDrawing(TypedDict):
    """Nodes and edges, as LangChain writes a graph as JSON."""

    nodes: list[dict[str, Any]]
    edges: list[dict[str, Any]]


class AssistantSchemas(Schemas):
    """What an assistant's graph takes, keeps and gives; null for what has no schema."""

    graph_id: str
