"""The bodies of requests and answers."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.api.values import Identifier, JsonObject
from app.runtime.run import Priority


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
    input: JsonObject = Field(description="The graph's input.")
    priority: Priority = Field(default="normal", description="Which runs go first when many wait.")


class ExecuteResponse(BaseModel):
    """How a run ended, and the thread's values after it."""

    thread_id: str
    run_id: str
    graph: str
    status: str
    interrupts: list[Any] = Field(description="Questions that wait for an answer: POST /threads/{thread_id}/runs.")
    result: Any


class Check(BaseModel):
    ok: bool
    reason: str | None = None


class ReadyBody(BaseModel):
    ready: bool
    checks: dict[str, Check]
    degraded: dict[str, str] = Field(description="What works less well than it should, though requests may come.")
