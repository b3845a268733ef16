"""Counts the tokens of every model call inside a node, whoever makes it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from prometheus_client import Counter

from app.observability.labels import Bounded

UNKNOWN = "unknown"
PROVIDER_KEY = "agent_provider"
"""Metadata of a call that names the provider as our settings do (LangChain has a name of its own for Bedrock)."""


class TokenCounter(BaseCallbackHandler):
    """Lives as long as one node's execution, so a call that was cancelled and never ends leaves nothing behind."""

    run_inline = True  # in the caller's own task: LangChain would start a thread for each event

    def __init__(self, tokens: Counter, models: Bounded) -> None:
        self._tokens = tokens
        self._models = models
        self._asked: dict[UUID, tuple[str, str]] = {}

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        known = metadata or {}
        provider = known.get(PROVIDER_KEY) or known.get("ls_provider", UNKNOWN)
        self._asked[run_id] = (provider, known.get("ls_model_name", UNKNOWN))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        provider, model = self._asked.pop(run_id, (UNKNOWN, UNKNOWN))
        generation = response.generations[0][0] if response.generations and response.generations[0] else None
        message = generation.message if isinstance(generation, ChatGeneration) else None
        if isinstance(message, AIMessage) and (usage := message.usage_metadata):
            labels = (provider, self._models(model))
            self._tokens.labels(*labels, "input").inc(usage["input_tokens"])
            self._tokens.labels(*labels, "output").inc(usage["output_tokens"])
