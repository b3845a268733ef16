"""How many streams are open in this process: each holds a connection and a buffer for as long as its run lasts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from app.runtime.problems import LimitReached
from app.security.caller import LAPTOP, Caller

RETRY_SECONDS = 5


class OpenStreams:
    def __init__(self, most_of_user: int, most: int) -> None:
        self._most_of_user = most_of_user
        self._most = most
        self._open: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def opened(self, caller: Caller) -> Generator[None]:
        """Counts one while the context lasts. Raises LimitReached."""
        whose = (caller.tenant, caller.user)
        if self._open.total() >= self._most:
            raise _reached("process_streams", self._most, "in this process")
        if caller != LAPTOP and self._open[whose] >= self._most_of_user:
            raise _reached("user_streams", self._most_of_user, "of yours in this process")
        self._open[whose] += 1
        try:
            yield
        finally:
            self._open[whose] -= 1
            if not self._open[whose]:
                del self._open[whose]


def _reached(limit: str, most: int, where: str) -> LimitReached:
    return LimitReached(
        f"{most} streams are open {where} already. Close one, or try again later.",
        limit=limit,
        value=f"{most} open streams",
        retry_after=RETRY_SECONDS,
    )
