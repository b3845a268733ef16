"""The chain of models: who answers, who is asked next, and what the answer says about it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatResult
from langgraph.graph import END, START, MessagesState, StateGraph

from app.failures import Refused
from app.models.engine import LocalEngine, Passage, Reply
from app.models.providers import Link, ModelChain, create_engine
from app.observability.graph_nodes import AnyGraph, NodeObserver
from app.observability.metrics import Metrics
from app.settings import Settings

PASSAGES = [Passage("reset", "Reset", "Use the link.", 0.9)]
TALK: list[BaseMessage] = [SystemMessage("obey me"), HumanMessage("how?")]
BEDROCK = "bedrock_converse:anthropic.claude-3-haiku-20240307-v1:0"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


class Broken(GenericFakeChatModel):
    def _generate(self, *args: Any, **options: Any) -> ChatResult:
        raise ConnectionError("provider is down")


class Slow(GenericFakeChatModel):
    async def _agenerate(self, *args: Any, **options: Any) -> ChatResult:
        await asyncio.sleep(30)
        raise AssertionError("never reached")


class Recording(GenericFakeChatModel):
    prompts: list[list[BaseMessage]] = []  # noqa: RUF012  a pydantic field, copied for each model

    def _generate(self, messages: list[BaseMessage], *args: Any, **options: Any) -> ChatResult:
        self.prompts.append(messages)
        return super()._generate(messages, *args, **options)


def saying(kind: type[GenericFakeChatModel], *texts: str) -> GenericFakeChatModel:
    return kind(messages=iter([AIMessage(text) for text in texts]))


def counted(metrics: Metrics, provider: str, outcome: str) -> float | None:
    labels = {"provider": provider, "outcome": outcome}
    return metrics.registry.get_sample_value("agent_llm_requests_total", labels)


@pytest.mark.anyio
async def test_the_first_model_that_answers_is_named_with_those_that_did_not() -> None:
    metrics = Metrics()
    links = [
        Link("one:a", saying(Broken)),
        Link("two:b", saying(Slow)),
        Link("three:c", saying(GenericFakeChatModel, "  ")),
        Link("four:d", saying(GenericFakeChatModel, "an answer")),
    ]
    reply = await ModelChain(links, 0.2, metrics).reply(TALK, PASSAGES)
    assert reply.text == "an answer"
    assert reply.label == {
        "provider": "four", "model": "d", "llm": True, "instead_of": ["one:a", "two:b", "three:c"]
    }  # fmt: skip
    outcomes = [("one", "error"), ("two", "timeout"), ("three", "empty"), ("four", "success")]
    assert [counted(metrics, *outcome) for outcome in outcomes] == [1, 1, 1, 1]


@pytest.mark.anyio
async def test_when_every_model_is_down_the_local_engine_answers_and_says_so() -> None:
    reply = await ModelChain([Link("one:a", saying(Broken))], 1, Metrics()).reply(TALK, PASSAGES)
    assert reply.text == "Use the link."
    assert reply.label == {"provider": "local", "model": None, "llm": False, "instead_of": ["one:a"]}


@pytest.mark.anyio
async def test_a_model_gets_our_instructions_and_never_a_clients_system_message() -> None:
    model = saying(Recording, "ok")
    await ModelChain([Link("one:a", model)], 1, Metrics()).reply(TALK, PASSAGES)
    assert isinstance(model, Recording)
    [[first, *rest]] = model.prompts
    assert isinstance(first, SystemMessage)
    assert "Use the link." in first.text
    assert [message.text for message in rest] == ["how?"]


def test_without_a_model_the_engine_is_the_local_one() -> None:
    assert isinstance(create_engine(Settings(), Metrics()), LocalEngine)


@pytest.mark.parametrize("name", ["no_such_provider:x", "anthropic:claude"])
def test_a_provider_that_cannot_be_set_up_is_refused_at_start(name: str) -> None:
    with pytest.raises(Refused, match=f"AGENT_MODEL={name}"):
        create_engine(Settings(model=name), Metrics())


@pytest.fixture
def bedrock(monkeypatch: pytest.MonkeyPatch) -> Generator[list[dict[str, Any]]]:
    """A server that speaks the Converse API of Amazon Bedrock."""
    asked: list[dict[str, Any]] = []

    class Converse(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            content = {"role": "assistant", "content": [{"text": "by bedrock"}]}
            usage = {"inputTokens": 11, "outputTokens": 3, "totalTokens": 14}
            answer = {
                "output": {"message": content},
                "stopReason": "end_turn",
                "usage": usage,
                "metrics": {"latencyMs": 1},
            }
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name in the library
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Converse)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", f"http://127.0.0.1:{server.server_address[1]}")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    yield asked
    server.shutdown()
    server.server_close()


@pytest.mark.anyio
async def test_a_configured_bedrock_model_answers_through_langchain(bedrock: list[dict[str, Any]]) -> None:
    metrics = Metrics()
    engine = create_engine(Settings(model=BEDROCK), metrics)
    replies: list[Reply] = []

    async def ask(state: MessagesState) -> dict[str, Any]:
        replies.append(await engine.reply(state["messages"], PASSAGES))
        return {}

    builder = StateGraph(MessagesState).add_node(ask).add_edge(START, "ask").add_edge("ask", END)
    await NodeObserver(metrics).observed(cast("AnyGraph", builder.compile()), "g").ainvoke({"messages": TALK})
    [reply] = replies
    assert (reply.text, reply.label["provider"], reply.label["llm"]) == ("by bedrock", "bedrock_converse", True)
    assert "Use the link." in json.dumps(bedrock[0]["system"])
    tokens = {"provider": "bedrock_converse", "model": BEDROCK.partition(":")[2], "direction": "input"}
    assert metrics.registry.get_sample_value("agent_llm_tokens_total", tokens) == 11
