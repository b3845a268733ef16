"""What a run is: what was asked, what the database keeps, and what a worker holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, cast
from uuid import UUID

import orjson

from app.security.caller import Caller
from app.security.run_quota import Room

Status = Literal["pending", "running", "success", "error", "timeout", "interrupted", "cancelled"]
Priority = Literal["high", "normal", "low"]
Strategy = Literal["reject", "interrupt", "rollback", "enqueue"]
Durability = Literal["sync", "async", "exit"]
CancelAction = Literal["interrupt", "rollback"]

ENDED: frozenset[str] = frozenset({"success", "error", "timeout", "interrupted", "cancelled"})

TEMPORARY_THREAD_SECONDS = 120  # a stateless run's result can be fetched for as long after a lost connection

# Seconds that a priority stands behind one above it: so a low run waits at most this long for newer high ones.
HANDICAP_SECONDS: dict[Priority, int] = {"high": 0, "normal": 30, "low": 120}


@dataclass(frozen=True)
class RunRequest:
    """What to run. Kept as bytes: it holds the user's words, which no column may show."""

    input: Any = None
    command: dict[str, Any] | None = None  # {"resume", "update", "goto"}
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    context: dict[str, Any] | None = None
    checkpoint: dict[str, Any] | None = None  # where to begin, when not at the thread's newest
    stream_modes: tuple[str, ...] = ("values",)
    subgraphs: bool = False
    protocol: bool = False  # shows what the event streaming protocol tells of, whatever the modes
    interrupt_before: list[str] | Literal["*"] | None = None
    interrupt_after: list[str] | Literal["*"] | None = None
    durability: Durability = "sync"
    timeout_seconds: float | None = None

    def encoded(self) -> bytes:
        # What equals its default need not be stored nor read back.
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return orjson.dumps({name: value for name, value in values.items() if value != getattr(EMPTY, name)})

    @classmethod
    def decoded(cls, stored: bytes) -> RunRequest:
        values = cast("dict[str, Any]", orjson.loads(stored))
        if "stream_modes" in values:
            values["stream_modes"] = tuple(values["stream_modes"])
        return cls(**values)

    @property
    def is_resume(self) -> bool:
        return self.answer is not None

    @property
    def answer(self) -> Any:
        return self.command.get("resume") if self.command else None

    @property
    def answers_by_id(self) -> bool:
        """LangGraph's rule: a map whose keys are all ids (xxh3-128 in hexadecimal), any other is itself an answer."""
        if not isinstance(self.answer, dict):
            return False
        keys = cast("dict[str, Any]", self.answer).keys()
        return bool(keys) and all(len(key) == 32 and set(key) <= set("0123456789abcdef") for key in keys)


EMPTY = RunRequest()


@dataclass(frozen=True)
class NewRun:
    """A run to accept."""

    caller: Caller
    run_id: UUID
    thread_id: str
    graph_id: str
    assistant_id: str
    request: RunRequest
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    thread_metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    strategy: Strategy = "enqueue"
    priority: Priority = "normal"
    after_seconds: float = 0
    idempotency_key: str | None = None
    create_thread: bool = False
    thread_made_up: bool = False  # its id is not the client's, and another one when the request is repeated
    thread_ttl_seconds: int | None = None  # of a thread that is made for it
    recorded: bool = True
    trace_context: str | None = None
    webhook: str | None = None  # where its end is told
    room: Room | None = None  # for how many unfinished runs of the caller; None for any number


@dataclass(frozen=True)
class Run:
    """A run as its row shows it to callers."""

    run_id: UUID
    number: int  # the order of acceptance
    thread_id: str
    graph_id: str
    assistant_id: str
    status: Status
    metadata: dict[str, Any]
    strategy: Strategy
    priority: Priority
    recorded: bool
    fence: int
    failures: int
    dead_letter: bool
    error: dict[str, str] | None
    request: bytes
    created_at: datetime
    updated_at: datetime

    @property
    def ended(self) -> bool:
        return self.status in ENDED


@dataclass(frozen=True)
class Claim:
    """The right of one worker to execute a run, until a newer fence exists."""

    run_id: UUID
    thread_id: str
    graph_id: str
    encoded: bytes
    recorded: bool
    fence: int
    failures: int
    trace_context: str | None
    cancel_action: CancelAction | None  # asked for while no worker had it
    waited_seconds: float
    tenant: str
    owner: str
    has_webhook: bool

    @cached_property
    def request(self) -> RunRequest:
        """Read late: what this version cannot read ends one claim, not the loop that claims."""
        return RunRequest.decoded(self.encoded)

    @property
    def is_first(self) -> bool:
        return self.fence == 1


@dataclass(frozen=True)
class Outcome:
    """How an execution ended. `interrupts` are ids of the questions that wait for an answer.

    They are None when the thread is as it was before the run: its questions wait still.
    """

    status: Status
    values: Any = None
    error: dict[str, str] | None = None
    interrupts: tuple[str, ...] | None = ()
    has_next: bool = False  # stopped before the graph's end: a breakpoint or a question

    @property
    def thread_status(self) -> Literal["idle", "interrupted", "error"]:
        if self.status in {"error", "timeout"}:
            return "error"
        return "interrupted" if self.has_next else "idle"
