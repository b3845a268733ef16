"""The shipped documentation: its articles, and what a question is about."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from app.models.engine import Passage
from app.models.ranking import Ranking, Words

FILE = Path(__file__).with_name("knowledge.json")
UNKNOWN_INTENT = "other"
# Likeness below which a question is about nothing we know: a single common word is enough for 0.08.
RELATED = 0.1


@dataclass(frozen=True)
class Article:
    id: str
    intent: str
    title: str
    phrasings: list[str]
    answer: str


class Knowledge:
    """Read once; immutable. One ranking serves both questions: which intent, and which article."""

    def __init__(self, file: Path = FILE) -> None:
        content = json.loads(file.read_text(encoding="utf-8"))
        self.articles = {entry["id"]: Article(**entry) for entry in content["articles"]}
        self.replies: dict[str, str] = {
            name: intent["reply"] for name, intent in content["intents"].items() if "reply" in intent
        }
        texts = {
            article.id: [article.title, *article.phrasings, article.answer] for article in self.articles.values()
        } | {name: intent["examples"] for name, intent in content["intents"].items()}
        self._ranking = Ranking(texts, Words(content["synonyms"]))

    def intent(self, question: str) -> tuple[str, float]:
        """The likeliest intent and its likeness from 0 to 1; an article stands for its intent."""
        label, likeness = self._ranking.rank(question)[0]
        if likeness < RELATED:
            return UNKNOWN_INTENT, likeness
        return (self.articles[label].intent if label in self.articles else label), likeness

    def look_up(self, question: str, limit: int = 3) -> list[Passage]:
        """The nearest articles, best first."""
        found = [
            Passage(id=label, title=self.articles[label].title, text=self.articles[label].answer, score=round(score, 3))
            for label, score in self._ranking.rank(question)
            if label in self.articles and score >= RELATED
        ]
        return found[:limit]


@cache
def shipped() -> Knowledge:
    """The documentation in this package."""
    return Knowledge()
