"""The bodies of requests and answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.api.values import GraphInput, Identifier, as_json
from app.runtime.execution import Outcome
from app.runtime.threads import ThreadState


class ExecuteRequest(BaseModel):
    """One run of a graph on a thread."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"input": {"messages": [{"role": "user", "content": "How do I reset my password?"}]}}
        },
    )

    thread_id: Identifier | None = Field(default=None, description="The thread to continue; a new one when left out.")
    graph: str | None = Field(
        default=None, max_length=128, description="A graph of langgraph.json; the first when left out."
    )
    input: GraphInput = Field(description="The graph's input.")


class RollbackRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    checkpoint_id: Identifier = Field(description="A checkpoint of this thread's history.")


class ThreadStateBody(BaseModel):
    """A thread at one of its checkpoints."""

    thread_id: str
    graph: str
    checkpoint_id: str
    parent_checkpoint_id: str | None
    created_at: str | None
    step: int
    source: str
    next: list[str]
    interrupts: list[Any]
    values: Any

    @classmethod
    def of(cls, state: ThreadState) -> ThreadStateBody:
        return cls(
            thread_id=state.thread_id,
            graph=state.graph,
            checkpoint_id=state.checkpoint_id,
            parent_checkpoint_id=state.parent_checkpoint_id,
            created_at=state.created_at,
            step=state.step,
            source=state.source,
            next=list(state.next),
            interrupts=as_json(state.interrupts),
            values=as_json(state.values),
        )


class ExecuteResponse(BaseModel):
    """How a run ended, and the thread's values after it."""

    thread_id: str
    run_id: str
    graph: str
    status: str
    checkpoint_id: str
    interrupts: list[Any]
    result: Any

    @classmethod
    def of(cls, outcome: Outcome) -> ExecuteResponse:
        return cls(
            thread_id=outcome.state.thread_id,
            run_id=outcome.run_id,
            graph=outcome.state.graph,
            status=outcome.status,
            checkpoint_id=outcome.state.checkpoint_id,
            interrupts=as_json(outcome.state.interrupts),
            result=as_json(outcome.state.values),
        )


class HistoryBody(BaseModel):
    """Checkpoints, newest first; `next_before` continues where this page ends."""

    thread_id: str
    checkpoints: list[ThreadStateBody]
    next_before: str | None


class Check(BaseModel):
    ok: bool
    reason: str | None = None


class ReadyBody(BaseModel):
    ready: bool
    checks: dict[str, Check]
