"""States of threads as the SDK asks for them and reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NotRequired, cast

from langchain_core.runnables import RunnableConfig
from langgraph.types import Interrupt, PregelTask, StateSnapshot
from langgraph.types import StateUpdate as LangGraphUpdate
from pydantic import BeforeValidator, ConfigDict, Field
from typing_extensions import TypedDict

from app.api.values import Identifier, JsonObject, SdkBody, Storable, Text

Namespace = Annotated[Text, Field(max_length=1024)]

# values.key selects one key of the values.
StateField = Annotated[
    str,
    Field(
        pattern=r"^(values(\..+)?|next|tasks|checkpoint|metadata|created_at|parent_checkpoint|interrupts)$",
        max_length=256,
    ),
]


class CheckpointRequest(SdkBody):
    """A checkpoint of the thread that the path names: the newest one without an id."""

    checkpoint_ns: Namespace = Field(default="", description="The subgraph it belongs to; empty for the graph itself.")
    checkpoint_id: Identifier | None = None
    checkpoint_map: dict[Namespace, Identifier] = Field(
        default_factory=dict[str, str], description="For a subgraph, the checkpoints of the graphs around it."
    )

    def address(self) -> dict[str, Any]:
        """As LangGraph's configurable has it."""
        return self.model_dump(include=set(CheckpointRequest.model_fields), exclude_defaults=True)


def _as_checkpoint(value: object) -> object:
    """Older clients send a bare id, or LangGraph's own {"configurable": {...}}."""
    if isinstance(value, str):
        return {"checkpoint_id": value}
    if isinstance(value, dict) and "configurable" in value:
        return cast("dict[str, object]", value)["configurable"]
    return cast("object", value)


AnyCheckpoint = Annotated[CheckpointRequest, BeforeValidator(_as_checkpoint)]


class StateQuery(SdkBody):
    """Which state of a thread."""

    checkpoint: AnyCheckpoint
    subgraphs: bool = False
    select: list[StateField] | None = None


class StateUpdate(SdkBody):
    """Values to write as if a node had returned them."""

    values: Storable = None
    as_node: Text | None = Field(default=None, max_length=256, description="The last node that wrote, when left out.")
    checkpoint: AnyCheckpoint = Field(default_factory=CheckpointRequest)
    checkpoint_id: Identifier | None = None

    def address(self) -> dict[str, Any]:
        older = {"checkpoint_id": self.checkpoint_id} if self.checkpoint_id else {}
        return self.checkpoint.address() | older

    def supersteps(self) -> list[list[LangGraphUpdate]]:
        return [[LangGraphUpdate(self.values, self.as_node)]]


class HistoryQuery(SdkBody):
    """Which states of a thread, newest first."""

    limit: int = Field(default=10, ge=1, le=1000)
    before: AnyCheckpoint | None = Field(default=None, description="Only states older than this checkpoint.")
    metadata: JsonObject = Field(default_factory=dict[str, Any], description="What a state's metadata has to hold.")
    checkpoint: AnyCheckpoint = Field(default_factory=CheckpointRequest, description="Names a subgraph's history.")
    select: list[StateField] | None = None


class RollbackRequest(SdkBody):
    """A checkpoint of the thread's history, which becomes its newest state again."""

    model_config = ConfigDict(extra="forbid")

    checkpoint_id: Identifier


class CheckpointBody(TypedDict):
    """A checkpoint's address. The id is null before the thread's first run."""

    thread_id: str
    checkpoint_ns: str
    checkpoint_id: str | None
    checkpoint_map: NotRequired[dict[str, str]]


class InterruptBody(TypedDict):
    """A question that waits for an answer; command.resume may name its id."""

    id: str
    value: Any
    response_schema: NotRequired[dict[str, Any]]


class TaskBody(TypedDict):
    """A node to execute next, or one that failed or asks."""

    id: str
    name: str
    path: list[Any]
    error: str | None
    interrupts: list[InterruptBody]
    checkpoint: CheckpointBody | None
    state: dict[str, Any] | None
    result: Any


class StateBody(TypedDict, total=False):
    """A thread's state; all fields, unless the request selects some."""

    values: Any
    next: list[str]
    tasks: list[TaskBody]
    checkpoint: CheckpointBody
    metadata: dict[str, Any]
    created_at: str | None
    parent_checkpoint: CheckpointBody | None
    interrupts: list[InterruptBody]
    checkpoint_id: str | None
    parent_checkpoint_id: str | None


class UpdatedState(TypedDict):
    """The checkpoint that an update made, under the names that newer and older clients read."""

    checkpoint: CheckpointBody
    configurable: CheckpointBody
    checkpoint_id: str | None


def state_body(snapshot: StateSnapshot) -> StateBody:
    checkpoint = checkpoint_body(snapshot.config)
    parent = checkpoint_body(snapshot.parent_config) if snapshot.parent_config else None
    return StateBody(
        values=snapshot.values,
        next=list(snapshot.next),
        tasks=[_task_body(task) for task in snapshot.tasks],
        checkpoint=checkpoint,
        metadata=dict(cast("dict[str, Any]", snapshot.metadata or {})),
        created_at=snapshot.created_at,
        parent_checkpoint=parent,
        interrupts=interrupt_bodies(snapshot.interrupts),
        checkpoint_id=checkpoint["checkpoint_id"],
        parent_checkpoint_id=parent["checkpoint_id"] if parent else None,
    )


def checkpoint_body(config: RunnableConfig) -> CheckpointBody:
    configurable = config.get("configurable", {})
    body = CheckpointBody(
        thread_id=configurable["thread_id"],
        checkpoint_ns=configurable.get("checkpoint_ns") or "",
        checkpoint_id=configurable.get("checkpoint_id"),
    )
    if checkpoint_map := configurable.get("checkpoint_map"):
        body["checkpoint_map"] = checkpoint_map
    return body


def interrupt_bodies(interrupts: Sequence[Interrupt]) -> list[InterruptBody]:
    return [_interrupt_body(interrupt) for interrupt in interrupts]


def _interrupt_body(interrupt: Interrupt) -> InterruptBody:
    body = InterruptBody(id=interrupt.id, value=interrupt.value)
    if isinstance(interrupt.response_schema, dict):
        body["response_schema"] = interrupt.response_schema
    return body


def _task_body(task: PregelTask) -> TaskBody:
    """`state` is the subgraph's whole state where that was asked for, else `checkpoint` says where it is."""
    inner = task.state
    return TaskBody(
        id=task.id,
        name=task.name,
        path=list(cast("tuple[Any, ...]", task.path)),
        error=str(task.error) if task.error else None,
        interrupts=interrupt_bodies(task.interrupts),
        checkpoint=checkpoint_body(inner) if isinstance(inner, dict) else None,
        state=dict(state_body(inner)) if isinstance(inner, StateSnapshot) else None,
        result=task.result,
    )
