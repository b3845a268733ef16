"""How many answers that last as long as a run are open in this process: each holds a connection, and a buffer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Literal

from app.runtime.problems import LimitReached
from app.security.caller import LAPTOP, Caller

RETRY_SECONDS = 5

Kind = Literal["streams", "waits"]
"""Events as they happen, or the end alone."""


class OpenStreams:
    """`most` bounds both kinds together."""

    def __init__(self, most_of_user: Mapping[Kind, int], most: int) -> None:
        self._most_of_user = most_of_user
        self._most = most
        self._open: Counter[tuple[Kind, str, str]] = Counter()

    @contextmanager
    def opened(self, caller: Caller, kind: Kind = "streams") -> Generator[None]:
        """Counts one while the context lasts. Raises LimitReached."""
        whose = (kind, caller.tenant, caller.user)
        if self._open.total() >= self._most:
            raise _reached("process_streams", self._most, "streams and waits", "in this process")
        most_of_user = self._most_of_user[kind]
        if caller != LAPTOP and self._open[whose] >= most_of_user:
            raise _reached(f"user_{kind}", most_of_user, kind, "of yours in this process")
        self._open[whose] += 1
        try:
            yield
        finally:
            self._open[whose] -= 1
            if not self._open[whose]:
                del self._open[whose]


def _reached(limit: str, most: int, what: str, where: str) -> LimitReached:
    return LimitReached(
        f"{most} {what} are open {where} already. Close one, or try again later.",
        limit=limit,
        value=f"{most} open {what}",
        retry_after=RETRY_SECONDS,
    )
