"""Keeps a label's values few, also where somebody else's code makes them up."""

from __future__ import annotations

OTHER = "other"


class Bounded:
    """Lets the first `most` different values through; every later one is `other`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def __call__(self, value: str) -> str:
        if value in self._known:
            return value
        if len(self._known) >= self._most:
            return OTHER
        self._known.add(value)
        return value
