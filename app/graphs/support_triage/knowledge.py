"""The shipped documentation: articles, intents, and which of them a question is about."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from app.models.engine import Passage
from app.models.ranking import Ranking, Words

FILE = Path(__file__).with_name("knowledge.json")


@dataclass(frozen=True)
class Article:
    id: str
    intent: str
    title: str
    phrasings: list[str]
    answer: str


class Knowledge:
    """Read once; immutable."""

    def __init__(self, file: Path = FILE) -> None:
        content = json.loads(file.read_text(encoding="utf-8"))
        self.articles = {entry["id"]: Article(**entry) for entry in content["articles"]}
        self.replies: dict[str, str] = {
            name: intent["reply"] for name, intent in content["intents"].items() if "reply" in intent
        }
        words = Words(content["synonyms"])
        examples: dict[str, list[str]] = {name: list(intent["examples"]) for name, intent in content["intents"].items()}
        for article in self.articles.values():
            examples[article.intent] += [article.title, *article.phrasings]
        self._intents = Ranking(examples, words)
        self._articles = Ranking(
            {article.id: [article.title, *article.phrasings, article.answer] for article in self.articles.values()},
            words,
        )

    def intent(self, question: str) -> tuple[str, float]:
        """The likeliest intent and its likeness from 0 to 1."""
        return self._intents.rank(question)[0]

    def look_up(self, question: str, limit: int = 3) -> list[Passage]:
        """The nearest articles, best first."""
        return [
            Passage(id=name, title=self.articles[name].title, text=self.articles[name].answer, score=round(score, 3))
            for name, score in self._articles.rank(question)[:limit]
            if score > 0
        ]


@cache
def shipped() -> Knowledge:
    """The documentation in this package."""
    return Knowledge()
