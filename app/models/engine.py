"""What every engine takes and gives, and the context that hands one to a graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from langchain_core.messages import BaseMessage
from typing_extensions import TypedDict  # pydantic makes no schema of typing.TypedDict before Python 3.12


class Label(TypedDict):
    """Which engine wrote an answer; it travels with the answer."""

    provider: str
    model: str | None
    llm: bool
    instead_of: list[str]
    """Models that were asked first and did not answer."""


@dataclass(frozen=True)
class Passage:
    """A piece of knowledge an answer may rest on."""

    id: str
    title: str
    text: str
    score: float


@dataclass(frozen=True)
class Reply:
    text: str
    label: Label


class Engine(Protocol):
    """Answers the last message of a conversation from passages, best first."""

    async def reply(self, conversation: Sequence[BaseMessage], passages: Sequence[Passage]) -> Reply: ...


class LocalEngine:
    """Quotes the best passage. There is no language model in it."""

    unanswered = "I have no answer to that in my documentation."

    async def reply(self, conversation: Sequence[BaseMessage], passages: Sequence[Passage]) -> Reply:
        text = passages[0].text if passages else self.unanswered
        return Reply(text, Label(provider="local", model=None, llm=False, instead_of=[]))


@dataclass(frozen=True)
class ServiceContext:
    """Run-time context of a graph that wants the service's engine.

    A graph that declares it (or a subclass) as its `context_schema` gets the configured engine from the service;
    under any other server the default keeps the graph working.
    """

    engine: Engine = field(default_factory=LocalEngine)
