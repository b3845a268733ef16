"""Finds which of a set of labelled texts a question is nearest to, by words: no model, no weights."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

WORD = re.compile(r"[a-z0-9]+")
QUESTION_CHARACTERS = 2000  # the rest of a longer text is not read: time must not grow with it
NEAREST_WEIGHT = 0.5
STOP_WORDS = frozenset(
    WORD.findall(
        "a an and are as at be been but by can could did do does for from get got had has have how i if in into is it its"
        " just me my of on or our please so some that the their them then there these they this to up us was we were what"
        " when where which while who will with would you your am about any need want like know tell"
    )
)
SUFFIXES = tuple("ations ation ments ment ings ing ied ies ers ed er es ly s e y".split())  # noqa: SIM905  one line
SHORTEST_STEM = 3


def stem(word: str) -> str:
    """The word without its longest known ending."""
    for suffix in SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= SHORTEST_STEM:
            return word[: -len(suffix)]
    return word


class Words:
    """Turns a text into weighted counted features: stems, and one name for all of a synonym group."""

    def __init__(self, synonyms: Iterable[Sequence[str]]) -> None:
        self._group: dict[tuple[str, ...], str] = {}
        for group in synonyms:
            for phrase in group:
                self._group[self._stems(phrase)] = group[0]
        self._longest = max((len(key) for key in self._group), default=1)

    def features(self, text: str) -> Counter[str]:
        stems = self._stems(text[:QUESTION_CHARACTERS])
        concepts: list[str] = []
        at = 0
        while at < len(stems):
            length = next(
                (n for n in range(min(self._longest, len(stems) - at), 0, -1) if stems[at : at + n] in self._group), 1
            )
            concepts.append(self._group.get(stems[at : at + length], stems[at]))
            at += length
        return Counter(concepts)

    @staticmethod
    def _stems(text: str) -> tuple[str, ...]:
        plain = text.lower().replace("'", "").replace("’", "")
        return tuple(stem(word) for word in WORD.findall(plain) if word not in STOP_WORDS)


Vector = dict[str, float]


class Ranking:
    """TF-IDF cosine of a question with each label's nearest text, blended with that of all its texts together."""

    def __init__(self, texts: Mapping[str, Sequence[str]], words: Words) -> None:
        self._words = words
        each = {label: [words.features(text) for text in given] for label, given in texts.items()}
        documents = [features for given in each.values() for features in given]
        seen = Counter(feature for features in documents for feature in features)
        self._rarity = {feature: math.log(1 + len(documents) / count) for feature, count in seen.items()}
        self._unseen = math.log(1 + len(documents))
        self._single = {label: [self._vector(features) for features in given] for label, given in each.items()}
        self._whole = {label: self._vector(sum(given, Counter[str]())) for label, given in each.items()}

    def rank(self, question: str) -> list[tuple[str, float]]:
        """Every label with its likeness from 0 to 1, best first."""
        asked = self._vector(self._words.features(question))
        scored = [(label, self._likeness(asked, label)) for label in self._single]
        return sorted(scored, key=lambda pair: -pair[1])

    def _likeness(self, asked: Vector, label: str) -> float:
        nearest = max((_cosine(asked, text) for text in self._single[label]), default=0.0)
        return NEAREST_WEIGHT * nearest + (1 - NEAREST_WEIGHT) * _cosine(asked, self._whole[label])

    def _vector(self, features: Counter[str]) -> Vector:
        weighed = {
            feature: (1 + math.log(count)) * self._rarity.get(feature, self._unseen)
            for feature, count in features.items()
        }
        length = math.sqrt(sum(weight * weight for weight in weighed.values())) or 1.0
        return {feature: weight / length for feature, weight in weighed.items()}


def _cosine(one: Vector, other: Vector) -> float:
    small, large = (one, other) if len(one) < len(other) else (other, one)
    return sum(weight * large.get(feature, 0.0) for feature, weight in small.items())
