"""A chain of model providers, each with a time limit, that ends at the local engine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from app import contract
from app.failures import Exit, Refused
from app.models.engine import Engine, Label, LocalEngine, Passage, Reply
from app.observability.llm_tokens import PROVIDER_KEY
from app.observability.metrics import Metrics
from app.settings import Settings

log = logging.getLogger(__name__)

INSTRUCTIONS = (
    "You answer support questions. Use only the passages below; if they do not hold the answer, say so and offer to"
    " pass the question to a person. Answer in at most five sentences, in the language of the question."
)
MESSAGES_SENT = 20  # ten turns: bounds the cost of a long thread


@dataclass(frozen=True)
class Link:
    """One provider of the chain; `name` is provider:model."""

    name: str
    model: BaseChatModel

    @property
    def provider(self) -> str:
        return self.name.partition(":")[0]


class ModelChain:
    """Asks each model in turn, and the local engine when none answers."""

    def __init__(self, links: Sequence[Link], timeout_seconds: float, metrics: Metrics) -> None:
        self._links = links
        self._timeout_seconds = timeout_seconds
        self._metrics = metrics
        self._local = LocalEngine()

    async def reply(self, conversation: Sequence[BaseMessage], passages: Sequence[Passage]) -> Reply:
        prompt = _prompt(conversation, passages)
        failed: list[str] = []
        for link in self._links:
            message = await self._ask(link, prompt)
            if message is not None:
                model = link.name.partition(":")[2]
                return Reply(message.text, Label(provider=link.provider, model=model, llm=True, instead_of=failed))
            failed.append(link.name)
        reply = await self._local.reply(conversation, passages)
        return Reply(reply.text, {**reply.label, "instead_of": failed})

    async def _ask(self, link: Link, prompt: list[BaseMessage]) -> AIMessage | None:
        outcome = "error"
        try:
            async with asyncio.timeout(self._timeout_seconds):
                message = await link.model.ainvoke(prompt, {"metadata": {PROVIDER_KEY: link.provider}})
            outcome = "success" if message.text.strip() else "empty"
        except TimeoutError:
            outcome = "timeout"
            return None
        except Exception as failure:
            log.warning(
                "a model did not answer", extra={"fields": {"model": link.name, "error": type(failure).__name__}}
            )
            return None
        finally:
            self._metrics.llm_requests.labels(link.provider, outcome).inc()
        return message if outcome == "success" else None


def create_engine(settings: Settings, metrics: Metrics) -> Engine:
    """The configured chain; the local engine alone when no model is configured."""
    if not settings.models:
        return LocalEngine()
    links = [Link(name, _create_model(name)) for name in settings.models]
    return ModelChain(links, settings.model_timeout_seconds, metrics)


def _create_model(name: str) -> BaseChatModel:
    from langchain.chat_models import init_chat_model  # takes time, for nothing where the local engine answers

    try:
        return init_chat_model(name)
    except ImportError as failure:
        raise Refused(
            f"{contract.ENV_MODEL}={name}: its package is not installed. {failure}", Exit.MISSING
        ) from failure
    except Exception as failure:
        raise Refused(
            f"{contract.ENV_MODEL}={name}: the model cannot be set up ({type(failure).__name__})."
            " Check the name, and the provider's key or region in the environment."
        ) from failure


def _prompt(conversation: Sequence[BaseMessage], passages: Sequence[Passage]) -> list[BaseMessage]:
    """Our instructions and the talk itself; a system message in it came from a client and is left out."""
    known = "\n\n".join(f"[{passage.id}] {passage.title}\n{passage.text}" for passage in passages) or "(none)"
    talk = [message for message in conversation if isinstance(message, HumanMessage | AIMessage)]
    return [SystemMessage(f"{INSTRUCTIONS}\n\nPassages:\n\n{known}"), *talk[-MESSAGES_SENT:]]
