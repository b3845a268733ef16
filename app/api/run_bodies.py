"""Runs as the SDK sends and reads them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID, uuid4

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from typing_extensions import TypedDict

from app.api.state_bodies import AnyCheckpoint, CheckpointRequest
from app.api.values import Identifier, JsonObject, SdkBody, Storable, Text, refuse_unstorable, unsupported
from app.runtime.assistants import thread_metadata, with_settings
from app.runtime.run import TEMPORARY_THREAD_SECONDS, Durability, NewRun, Priority, Run, RunRequest, Strategy
from app.runtime.run_queue import RunSelection
from app.security.caller import Caller
from app.tables.assistants import Assistant

StreamMode = Literal[
    "values", "updates", "messages", "messages-tuple", "custom", "tasks", "checkpoints", "debug", "events"
]
Breakpoints = list[Text] | Literal["*"] | None


def as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Send(BaseModel):
    """A node to execute with an input of its own."""

    node: Text = Field(max_length=256)
    input: Storable = None


class Command(BaseModel):
    """Goes on from an interrupt, changes the state, or names the next nodes."""

    model_config = ConfigDict(extra="forbid")

    resume: Storable = None
    update: Storable = None
    goto: Text | Send | list[Text | Send] | None = None

    @model_validator(mode="after")
    def _something(self) -> Command:
        if not self.model_fields_set:
            raise ValueError("has to say resume, update or goto")
        return self


class Configurable(CheckpointRequest):
    """Whatever the graph reads from its config; older clients name a checkpoint here."""

    model_config = ConfigDict(extra="allow")


class RunConfig(SdkBody):
    """What LangGraph calls a config."""

    configurable: Annotated[Configurable, BeforeValidator(refuse_unstorable)] = Field(default_factory=Configurable)
    tags: list[Text] = Field(default_factory=list[str], max_length=100)
    recursion_limit: int | None = Field(
        default=None, ge=1, le=2**31, description="The service's own limit goes before it."
    )

    def as_langgraph(self) -> dict[str, Any]:
        """Without the checkpoint, which has a place of its own."""
        parts = {
            "configurable": self.configurable.model_extra,
            "tags": self.tags,
            "recursion_limit": self.recursion_limit,
        }
        return {name: part for name, part in parts.items() if part}


class RunBody(SdkBody):
    """A run to start."""

    for_protocol: ClassVar[bool] = False  # else it shows what that tells of, whatever its modes

    assistant_id: str = Field(min_length=1, max_length=256, description="A graph's name, or an assistant's id.")
    input: JsonObject | None = None
    command: Command | None = None
    stream_mode: Annotated[list[StreamMode], BeforeValidator(as_list)] = Field(default=["values"], min_length=1)
    stream_subgraphs: bool = False
    stream_resumable: bool = Field(default=True, description="Streams of this service can always be resumed.")
    config: RunConfig = Field(default_factory=RunConfig)
    context: JsonObject | None = None
    metadata: JsonObject = Field(default_factory=dict[str, Any])
    checkpoint: AnyCheckpoint = Field(default_factory=CheckpointRequest)
    checkpoint_id: Identifier | None = None
    interrupt_before: Breakpoints = None
    interrupt_after: Breakpoints = None
    multitask_strategy: Strategy = "enqueue"
    if_not_exists: Literal["create", "reject"] = "reject"
    after_seconds: float = Field(default=0, ge=0, le=31_536_000)
    durability: Durability = "sync"
    checkpoint_during: bool | None = Field(default=None, description="Older clients' durability: async, or exit.")
    on_disconnect: Literal["cancel", "continue"] = Field(
        default="continue", description="What becomes of the run when the client that waits or streams goes away."
    )
    feedback_keys: Annotated[None, unsupported("It takes LangSmith. Leave it out")] = None
    langsmith_tracer: Annotated[None, unsupported("Traces go where the service's OpenTelemetry says. Leave it out")] = (
        None
    )
    webhook: str | None = Field(default=None, min_length=1, description="An https address to tell of the run's end.")
    priority: Priority = Field(
        default="normal", description="Which runs are claimed first; low waits 2 minutes at most."
    )
    timeout_seconds: float | None = Field(default=None, gt=0, le=86_400)

    @model_validator(mode="after")
    def _one_beginning(self) -> RunBody:
        if self.command is not None and self.input is not None:
            raise ValueError("input and command: a run has one of them. Leave one out")
        return self

    @model_validator(mode="after")
    def _older_durability(self) -> RunBody:
        if self.checkpoint_during is not None and "durability" not in self.model_fields_set:
            self.durability = "async" if self.checkpoint_during else "exit"
        return self

    def checkpoint_address(self) -> dict[str, Any]:
        """Where to begin; empty for the thread's newest state."""
        older = {"checkpoint_id": self.checkpoint_id} if self.checkpoint_id else {}
        return self.config.configurable.address() | older | self.checkpoint.address()

    def request(self) -> RunRequest:
        """Without the settings of its assistant."""
        return RunRequest(
            input=self.input,
            command=self.command.model_dump(exclude_unset=True) if self.command else None,
            config=self.config.as_langgraph(),
            context=self.context,
            checkpoint=self.checkpoint_address() or None,
            stream_modes=tuple(self.stream_mode),
            subgraphs=self.stream_subgraphs,
            protocol=self.for_protocol,
            interrupt_before=self.interrupt_before,
            interrupt_after=self.interrupt_after,
            durability=self.durability,
            timeout_seconds=self.timeout_seconds,
        )

    def run(
        self, caller: Caller, thread_id: str, assistant: Assistant, *, recorded: bool, idempotency_key: str | None
    ) -> NewRun:
        """A run on a thread that the client names."""
        return NewRun(
            caller=caller,
            run_id=uuid4(),
            thread_id=thread_id,
            graph_id=assistant.graph_id,
            assistant_id=str(assistant.assistant_id),
            request=with_settings(assistant, self.request()),
            metadata=self.metadata,
            thread_metadata=thread_metadata(assistant),
            strategy=self.multitask_strategy,
            priority=self.priority,
            after_seconds=self.after_seconds,
            idempotency_key=idempotency_key,
            create_thread=self.if_not_exists == "create",
            recorded=recorded,
            webhook=self.webhook,
        )


class StatelessRunBody(RunBody):
    """A run on a thread of its own, which goes a moment after the run has ended."""

    on_completion: Literal["delete", "keep"] = "delete"

    @model_validator(mode="after")
    def _new_thread(self) -> StatelessRunBody:
        if self.names_no_thread and self.checkpoint_address():
            raise ValueError("checkpoint: a run without a thread begins at none. Leave it out, or name the thread")
        return self

    @property
    def names_no_thread(self) -> bool:
        return True

    @property
    def ttl_seconds(self) -> int | None:
        return TEMPORARY_THREAD_SECONDS if self.on_completion == "delete" else None


class BatchRunBody(StatelessRunBody):
    """A run of a batch: on a thread that is named, or on one of its own."""

    thread_id: Identifier | None = None

    @property
    def names_no_thread(self) -> bool:
        return self.thread_id is None


class CancelManyBody(SdkBody):
    """Which runs to cancel; those that meet all that is said."""

    thread_id: Identifier | None = None
    run_ids: list[UUID] | None = Field(default=None, min_length=1, max_length=1000)
    status: Literal["pending", "running", "all"] | None = None

    @model_validator(mode="after")
    def _some_condition(self) -> CancelManyBody:
        if self.thread_id is None and self.run_ids is None and self.status is None:
            raise ValueError("has to say thread_id, run_ids or status. Send status=all for every run of yours")
        return self

    def selection(self) -> RunSelection:
        return RunSelection(thread_id=self.thread_id, run_ids=self.run_ids, status=self.status or "all")


RunField = Literal[
    "run_id",
    "thread_id",
    "assistant_id",
    "created_at",
    "updated_at",
    "status",
    "metadata",
    "kwargs",
    "multitask_strategy",
    "cancel_reason",
]


class ExistingRun(TypedDict, total=False):
    """A run as the SDK reads it; all but kwargs, unless a list selects some."""

    run_id: UUID
    thread_id: str
    assistant_id: str
    status: str
    metadata: dict[str, Any]
    multitask_strategy: str
    priority: str
    attempt: int
    error: dict[str, str] | None
    created_at: datetime
    updated_at: datetime
    kwargs: dict[str, Any]


def existing_run(run: Run, *, kwargs: bool = False) -> ExistingRun:
    """With what was asked for, if `kwargs`."""
    body = ExistingRun(
        run_id=run.run_id,
        thread_id=run.thread_id,
        assistant_id=run.assistant_id,
        status="interrupted" if run.status == "cancelled" else run.status,  # the SDK's RunStatus has no cancelled
        metadata=run.metadata,
        multitask_strategy=run.strategy,
        priority=run.priority,
        attempt=run.fence,
        error=run.error,
        created_at=run.created_at,
        updated_at=run.updated_at,
    )
    return body | {"kwargs": orjson.loads(run.request)} if kwargs else body
