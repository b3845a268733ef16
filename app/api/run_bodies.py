"""Runs as the SDK sends and reads them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from app.api.values import GraphInput, Identifier, Storable
from app.runtime.run import Durability, NewRun, Priority, Run, RunRequest, Strategy
from app.runtime.threads import GRAPH_KEY

TEMPORARY_THREAD_SECONDS = 120  # a stateless run's result can be fetched for as long after a lost connection

StreamMode = Literal["values", "updates", "messages", "messages-tuple", "custom", "tasks", "checkpoints", "debug"]
Breakpoints = list[str] | Literal["*"] | None


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Command(BaseModel):
    """Goes on from an interrupt, changes the state, or names the next nodes."""

    model_config = ConfigDict(extra="forbid")

    resume: Storable = None
    update: Storable = None
    goto: Storable = None

    @model_validator(mode="after")
    def _something(self) -> Command:
        if not self.model_fields_set:
            raise ValueError("has to say resume, update or goto")
        return self


class RunBody(BaseModel):
    """A run to start. Keys that are not ours are left alone: clients are older and newer than this service."""

    assistant_id: str = Field(min_length=1, max_length=256, description="A graph's name, or an assistant's id.")
    input: GraphInput | None = None
    command: Command | None = None
    stream_mode: Annotated[list[StreamMode], BeforeValidator(_as_list)] = Field(default=["values"], min_length=1)
    stream_subgraphs: bool = False
    stream_resumable: bool = Field(default=True, description="Streams of this service can always be resumed.")
    config: dict[str, Any] = Field(default_factory=dict[str, Any])
    context: dict[str, Any] | None = None
    metadata: dict[str, Any] = Field(default_factory=dict[str, Any])
    checkpoint: dict[str, Any] | None = None
    checkpoint_id: Identifier | None = None
    interrupt_before: Breakpoints = None
    interrupt_after: Breakpoints = None
    multitask_strategy: Strategy = "enqueue"
    if_not_exists: Literal["create", "reject"] = "reject"
    after_seconds: float = Field(default=0, ge=0, le=31_536_000)
    durability: Durability = "sync"
    webhook: None = Field(default=None, description="Not supported.")
    priority: Priority = Field(
        default="normal", description="Which runs are claimed first; low waits 2 minutes at most."
    )
    timeout_seconds: float | None = Field(default=None, gt=0, le=86_400)

    @model_validator(mode="before")
    @classmethod
    def _nulls(cls, value: Any) -> Any:
        """SDK clients send null for what they leave out."""
        if not isinstance(value, dict):
            return value
        return {key: part for key, part in value.items() if part is not None or key in {"input", "command"}}

    @model_validator(mode="after")
    def _one_beginning(self) -> RunBody:
        if self.command is not None and self.input is not None:
            raise ValueError("input and command: a run has one of them. Leave one out")
        return self

    def request(self) -> RunRequest:
        checkpoint = dict(self.checkpoint or {})
        if self.checkpoint_id:
            checkpoint["checkpoint_id"] = self.checkpoint_id
        return RunRequest(
            input=self.input,
            command=self.command.model_dump(exclude_unset=True) if self.command else None,
            config=self.config,
            context=self.context,
            checkpoint={key: part for key, part in checkpoint.items() if part is not None} or None,
            stream_modes=tuple(self.stream_mode),
            subgraphs=self.stream_subgraphs,
            interrupt_before=self.interrupt_before,
            interrupt_after=self.interrupt_after,
            durability=self.durability,
            timeout_seconds=self.timeout_seconds,
        )

    def run(self, thread_id: str, graph_id: str, *, recorded: bool, idempotency_key: str | None) -> NewRun:
        """A run on a thread that the client names."""
        return NewRun(
            run_id=uuid4(),
            thread_id=thread_id,
            graph_id=graph_id,
            assistant_id=self.assistant_id,
            request=self.request(),
            metadata=self.metadata,
            # Browser clients find a user's threads by either (Agent Chat UI searches for them).
            thread_metadata={GRAPH_KEY: graph_id, "assistant_id": self.assistant_id},
            strategy=self.multitask_strategy,
            priority=self.priority,
            after_seconds=self.after_seconds,
            idempotency_key=idempotency_key,
            create_thread=self.if_not_exists == "create",
            recorded=recorded,
        )


class StatelessRunBody(RunBody):
    """A run on a thread of its own, which goes a moment after the run has ended."""

    on_completion: Literal["delete", "keep"] = "delete"

    @property
    def ttl_seconds(self) -> int | None:
        return TEMPORARY_THREAD_SECONDS if self.on_completion == "delete" else None


class ExistingRun(BaseModel):
    """A run as the SDK reads it."""

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

    @classmethod
    def of(cls, run: Run) -> ExistingRun:
        return cls(
            run_id=run.run_id,
            thread_id=run.thread_id,
            assistant_id=run.assistant_id,
            status=run.status,
            metadata=run.metadata,
            multitask_strategy=run.strategy,
            priority=run.priority,
            attempt=run.fence,
            error=run.error,
            created_at=run.created_at,
            updated_at=run.updated_at,
        )
