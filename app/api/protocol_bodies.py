"""The event streaming protocol as langgraph-sdk's threads.stream() speaks it (package langchain_protocol)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from app.api.run_bodies import RunBody
from app.api.values import JsonObject, SdkBody, Storable, refuse_unstorable

LARGEST_NUMBER = 2**53 - 1  # of JavaScript

ErrorCode = Literal["invalid_argument", "unknown_command", "no_such_interrupt", "not_supported"]
Channel = Annotated[str, Field(max_length=256), AfterValidator(refuse_unstorable)]
Namespace = list[Channel]


class Subscription(SdkBody):
    """Which events to send: of these channels, below these namespaces, after this number."""

    channels: list[Channel] = Field(min_length=1, max_length=100)
    namespaces: list[Namespace] | None = Field(default=None, max_length=1000)
    depth: int | None = Field(default=None, ge=0, le=1000)
    since: int | None = Field(default=None, ge=0, le=LARGEST_NUMBER)

    @property
    def is_watch(self) -> bool:
        """Whether it is the SDK's own, which looks for the end and the questions of the run that it has started."""
        return set(self.channels) == {"lifecycle", "input"}

    @property
    def shows_all(self) -> bool:
        """Whether it is the SDK's `events`, which is nobody's sign of an end."""
        return {"input", "values"} <= set(self.channels)


class Command(SdkBody):
    """run.start, or input.respond; what other commands ask for has routes."""

    id: int = Field(ge=0, le=LARGEST_NUMBER)
    method: str = Field(max_length=64)
    params: JsonObject = Field(default_factory=dict[str, Any])


class RunStart(RunBody):
    """A run that makes its thread when there is none."""

    for_protocol: ClassVar[bool] = True
    if_not_exists: Literal["create", "reject"] = "create"


class InputResponse(SdkBody):
    """The answer to a question."""

    interrupt_id: str = Field(pattern=r"^[0-9a-f]{32}$")  # LangGraph takes other keys for parts of an answer
    response: Storable = None


class Started(TypedDict):
    run_id: str


class Meta(TypedDict):
    applied_through_seq: int


class CommandAnswer(TypedDict, total=False):
    """`result` and `meta` of a success; `error` and `message` of an error."""

    type: Literal["success", "error"]
    id: int
    result: Started
    meta: Meta
    error: ErrorCode
    message: str
