"""The shipped graph: how often it is right, and which way it goes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from app.graphs.support_triage.graph import graph
from app.graphs.support_triage.knowledge import shipped
from app.models.engine import Reply, ServiceContext
from app.models.sentiment import feeling

# Written after the knowledge file was finished, which must not be fitted to them.
QUESTIONS: list[tuple[str, str, str | None]] = json.loads(
    Path(__file__).with_name("support_questions.json").read_text()
)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


async def ask(text: str, context: ServiceContext | None = None) -> dict[str, Any]:
    return await graph.ainvoke({"messages": [{"role": "user", "content": text}]}, context=context)  # pyright: ignore[reportArgumentType]  LangGraph converts it


def test_the_local_engine_is_right_often_enough() -> None:
    intents = [shipped().intent(question)[0] == intent for question, intent, _ in QUESTIONS]
    articles = [
        [passage.id for passage in shipped().look_up(question)[:1]] == [article]
        for question, _, article in QUESTIONS
        if article
    ]
    assert len(intents) >= 40
    assert sum(intents) / len(intents) >= 0.85
    assert sum(articles) / len(articles) >= 0.80


def test_no_question_of_the_measurement_is_in_the_knowledge() -> None:
    known = {phrase.lower().strip("?!. ") for article in shipped().articles.values() for phrase in article.phrasings}
    assert {question.lower().strip("?!. ") for question, _, _ in QUESTIONS} & known == set()


def test_every_article_is_found_by_its_own_title_and_phrasings() -> None:
    for article in shipped().articles.values():
        for text in (article.title, *article.phrasings):
            assert article.id in {passage.id for passage in shipped().look_up(text)}, text


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("How do I reset my password?", None),
        ("hello", None),
        ("What is the capital of France?", ["no confident answer"]),
        ("I want to talk to a human", ["asked for a person"]),
        ("Terrible! Horrible! Where is my invoice?", ["upset"]),
    ],
)
async def test_a_person_is_called_when_the_answer_is_not_enough(text: str, reasons: list[str] | None) -> None:
    escalation = (await ask(text))["escalation"]
    assert (escalation and escalation["reasons"]) == reasons


@pytest.mark.anyio
async def test_every_answer_says_that_no_language_model_wrote_it() -> None:
    for text in ("hello", "where is my invoice", "gibberish xyzzy"):
        result = await ask(text)
        assert result["answer"]["engine"] == {"provider": "local", "model": None, "llm": False, "instead_of": []}
        last = result["messages"][-1]
        assert isinstance(last, AIMessage)
        assert last.response_metadata["engine"]["llm"] is False


@pytest.mark.anyio
async def test_the_engine_of_the_context_answers_from_the_articles_found() -> None:
    seen: list[list[str]] = []

    class Recording:
        async def reply(self, conversation: Any, passages: Any) -> Reply:
            seen.append([passage.id for passage in passages])
            return Reply("from the engine", {"provider": "p", "model": "m", "llm": True, "instead_of": []})

    result = await ask("How do I connect GitHub?", ServiceContext(engine=Recording()))
    assert result["answer"]["text"] == "from the engine"
    assert seen[0][0] == "integrations"
    assert (await ask("hello", ServiceContext(engine=Recording())))["answer"]["engine"]["llm"] is False


def test_state_holds_no_bare_text_that_would_be_stored_readable() -> None:
    channels = graph.get_output_jsonschema()["properties"]
    assert {name for name, schema in channels.items() if schema.get("type") == "string"} == set()


def test_time_does_not_grow_with_the_length_of_a_text() -> None:
    text = "where is my invoice please help " * 30_000
    started = time.process_time()
    shipped().look_up(text)
    feeling(text)
    assert time.process_time() - started < 5  # without the limit VADER takes hours


@pytest.mark.parametrize(
    ("text", "expected"),
    [("worst service ever, I am furious", "negative"), ("you solved it, wonderful!", "positive"), ("", "neutral")],
)
def test_feelings_have_their_sign(text: str, expected: str) -> None:
    label, score = feeling(text)
    assert label == expected
    assert -1 <= score <= 1
