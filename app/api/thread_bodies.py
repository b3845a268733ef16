"""Threads as the SDK makes, finds and reads them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, cast

from langgraph.types import StateSnapshot, StateUpdate
from pydantic import BaseModel, BeforeValidator, Field, model_validator
from typing_extensions import TypedDict

from app.api.run_bodies import Command
from app.api.selection import Extract
from app.api.state_bodies import InterruptBody, interrupt_bodies
from app.api.values import Identifier, JsonObject, SdkBody, Storable, Text
from app.runtime.commands import as_langgraph
from app.runtime.threads import GRAPH_KEY
from app.tables.threads import Search, Thread, ThreadStatus

ThreadField = Literal[
    "thread_id", "created_at", "updated_at", "metadata", "config", "context", "status", "values", "interrupts", "ttl"
]
# What has to be read from the thread's state.
OF_STATE: frozenset[ThreadField] = frozenset({"values", "interrupts"})

LONGEST_TTL_MINUTES = 5_256_000  # ten years


class TimeToLive(BaseModel):
    """How long after its last change a thread is deleted."""

    ttl: float = Field(ge=1 / 60, le=LONGEST_TTL_MINUTES, description="Minutes.")
    strategy: Literal["delete"] = "delete"


def _as_ttl(value: object) -> object:
    return {"ttl": value} if isinstance(value, int | float) else value


Ttl = Annotated[TimeToLive, BeforeValidator(_as_ttl)]


class ThreadPatch(SdkBody):
    """What to change of a thread."""

    metadata: JsonObject = Field(default_factory=dict[str, Any], description="Added to what is there, key by key.")
    ttl: Ttl | None = None

    @property
    def ttl_seconds(self) -> int | None:
        return round(self.ttl.ttl * 60) if self.ttl else None


class SuperstepUpdate(SdkBody):
    """What a node is to have returned."""

    values: Storable = None
    command: Command | None = Field(default=None, description="Instead of values.")
    as_node: Text = Field(max_length=256)

    def as_langgraph(self) -> StateUpdate:
        command = self.command and as_langgraph(self.command.model_dump(exclude_unset=True))
        return StateUpdate(cast("Any", command or self.values), self.as_node)


class Superstep(SdkBody):
    """What the nodes of one step are to have returned."""

    updates: list[SuperstepUpdate] = Field(min_length=1, max_length=1000)


class ThreadCreate(ThreadPatch):
    """A thread to make. `metadata.graph_id` binds it to a graph before its first run."""

    thread_id: Identifier | None = Field(default=None, description="A new UUID when left out.")
    if_exists: Literal["raise", "do_nothing"] = "raise"
    supersteps: list[Superstep] = Field(
        default_factory=list[Superstep], max_length=1000, description="Makes the state of a thread of `graph_id`."
    )

    @model_validator(mode="after")
    def _graph_of_state(self) -> ThreadCreate:
        if self.supersteps and not self.graph_id:
            raise ValueError("supersteps: need the graph that makes a state of them. Say metadata.graph_id")
        return self

    @property
    def graph_id(self) -> str | None:
        named = self.metadata.get(GRAPH_KEY)
        return named if isinstance(named, str) else None


class ThreadConditions(SdkBody):
    """Which threads are meant. All of them without a condition."""

    metadata: JsonObject = Field(default_factory=dict[str, Any], description="What a thread's metadata has to hold.")
    status: ThreadStatus | None = None
    ids: list[Identifier] | None = Field(default=None, min_length=1, max_length=1000)
    values: JsonObject = Field(
        default_factory=dict[str, Any], description="What a thread's state has to hold; reads 1,000 states at most."
    )


class ThreadSearchBody(ThreadConditions):
    """Which threads, in which order, and which of their fields."""

    limit: int = Field(default=10, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=1_000_000_000)
    sort_by: Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"] = Field(
        default="updated_at", description="state_updated_at means updated_at: one time of change is kept."
    )
    sort_order: Literal["asc", "desc"] = "desc"
    select: list[ThreadField] | None = Field(default=None, min_length=1)
    extract: Extract = Field(
        default_factory=dict[str, str], description='By alias, a path: {"last": "values.messages[-1].content"}.'
    )

    def search(self) -> Search:
        """One more than asked for tells whether there is another page."""
        return Search(
            metadata=self.metadata,
            status=self.status,
            ids=self.ids,
            sort_by="updated_at" if self.sort_by == "state_updated_at" else self.sort_by,
            descending=self.sort_order == "desc",
            limit=self.limit + 1,
            offset=self.offset,
        )

    @property
    def reads_state(self) -> bool:
        return bool(not self.select or OF_STATE & set(self.select) or self.extract)


class PruneBody(SdkBody):
    """Threads to delete, or to shorten to their newest state."""

    thread_ids: list[Identifier] = Field(max_length=1000)
    strategy: Literal["delete", "keep_latest"] = "delete"


class Pruned(TypedDict):
    """How many threads there were."""

    pruned_count: int


class TtlBody(TypedDict):
    strategy: str
    ttl_minutes: float
    expires_at: datetime


class ThreadBody(TypedDict, total=False):
    """A thread as the SDK reads it; all fields, unless a search selects some.

    `values` are null before the first run; `interrupts` are the questions that wait, by task.
    """

    thread_id: str
    created_at: datetime
    updated_at: datetime
    metadata: dict[str, Any]
    status: ThreadStatus
    values: Any
    interrupts: dict[str, list[InterruptBody]]
    ttl: TtlBody | None
    extracted: dict[str, Any]


def thread_body(thread: Thread, snapshot: StateSnapshot | None) -> ThreadBody:
    body = ThreadBody(
        thread_id=thread.thread_id,
        created_at=thread.created_at,
        updated_at=thread.updated_at,
        metadata=thread.metadata,
        status=thread.status,
        values=None,
        interrupts={},
        ttl=_ttl(thread),
    )
    if snapshot and snapshot.created_at:
        body["values"] = snapshot.values
        asked = {task.id: interrupt_bodies(task.interrupts) for task in snapshot.tasks}
        body["interrupts"] = {task_id: interrupts for task_id, interrupts in asked.items() if interrupts}
    return body


def _ttl(thread: Thread) -> TtlBody | None:
    if thread.ttl_seconds is None:
        return None
    return TtlBody(
        strategy="delete",
        ttl_minutes=thread.ttl_seconds / 60,
        expires_at=thread.updated_at + timedelta(seconds=thread.ttl_seconds),
    )
