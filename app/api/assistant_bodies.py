"""Assistants as the SDK asks for them and reads them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field
from typing_extensions import TypedDict

from app.api.run_bodies import RunConfig
from app.api.values import JsonObject, SdkBody, Text
from app.runtime.graph_schemas import Schemas
from app.tables.assistants import AssistantSearch, Content, SortKey

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


Name = Annotated[Text, Field(min_length=1, max_length=256)]
Description = Annotated[Text, Field(max_length=10_000)]


class AssistantSettings(SdkBody):
    """What a version of an assistant may hold beside its graph and its name."""

    config: RunConfig | None = Field(default=None, description="Under the config of each of its runs, key by key.")
    context: JsonObject | None = Field(default=None, description="Under the context of each of its runs, key by key.")
    metadata: JsonObject | None = None
    description: Description | None = None

    def changes(self) -> dict[str, Any]:
        """What was sent, under the names of Content."""
        sent = {name: getattr(self, name) for name in Content.__dataclass_fields__}
        given = {name: value for name, value in sent.items() if value is not None}
        return given | ({"config": self.config.as_langgraph()} if self.config else {})


class AssistantChange(AssistantSettings):
    """What to change of an assistant: its new version. Metadata is added key by key, all else replaced."""

    graph_id: Name | None = None
    name: Name | None = None


class AssistantCreate(AssistantSettings):
    """A graph under a name, with settings for its runs."""

    graph_id: Name
    assistant_id: UUID | None = Field(default=None, description="A new one when left out.")
    if_exists: Literal["raise", "do_nothing"] = "raise"
    name: Name = "Untitled"  # langgraph-api's own

    def content(self) -> Content:
        return Content(**self.changes())


class VersionsQuery(SdkBody):
    """Which versions of an assistant, newest first."""

    metadata: JsonObject = Field(default_factory=dict[str, Any])
    limit: int = Field(default=10, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=1_000_000)


class LatestVersion(SdkBody):
    """The version to go back to."""

    version: int = Field(ge=1, le=2**31 - 1)


class AssistantConditions(SdkBody):
    """Which assistants are meant. All of them without a condition."""

    graph_id: Name | None = None
    name: Text | None = Field(default=None, max_length=256, description="A part of the name, in any case.")
    metadata: JsonObject = Field(default_factory=dict[str, Any])


class AssistantSearchBody(AssistantConditions):
    """Which assistants, in which order, and which of their fields."""

    limit: int = Field(default=10, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=1_000_000)
    sort_by: SortKey | None = Field(default=None, description="The order of langgraph.json when left out.")
    sort_order: Literal["asc", "desc"] = "asc"
    select: list[AssistantField] | None = Field(default=None, min_length=1)

    def search(self) -> AssistantSearch:
        """One more than asked for tells whether there is another page."""
        return AssistantSearch(
            graph_id=self.graph_id,
            name=self.name,
            metadata=self.metadata,
            sort_by=self.sort_by,
            descending=self.sort_order == "desc",
            limit=self.limit + 1,
            offset=self.offset,
        )


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
