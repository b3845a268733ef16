"""How a text feels, by VADER's lexicon."""

from __future__ import annotations

from functools import cache
from typing import Literal

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

Feeling = Literal["negative", "neutral", "positive"]

# VADER looks every word up in the list of words: time grows with the square of the length.
READ_CHARACTERS = 2000
EDGE = 0.05  # the library's own bound between neutral and not (its README, "About the Scoring")


@cache
def _analyzer() -> SentimentIntensityAnalyzer:
    return SentimentIntensityAnalyzer()


def feeling(text: str) -> tuple[Feeling, float]:
    """The feeling and VADER's compound score from -1 to 1."""
    score = _analyzer().polarity_scores(text[:READ_CHARACTERS])["compound"]
    if score <= -EDGE:
        return "negative", score
    return ("positive" if score >= EDGE else "neutral"), score
