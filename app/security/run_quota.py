"""How many unfinished runs a user may have. The database counts them, this process those it is about to accept.

So requests of one moment cannot pass it together, unless they come to several processes at once.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from app.runtime.problems import LimitReached
from app.security.caller import LAPTOP, Caller

RETRY_SECONDS = 5


@dataclass(frozen=True)
class Room:
    """A run is accepted when its user has at most so many unfinished ones, those of `beside` not counted."""

    most: int
    beside: tuple[UUID, ...]


class RunQuota:
    def __init__(self, most: int) -> None:
        self._most = most
        self._accepting: dict[tuple[str, str], list[UUID]] = {}

    @contextmanager
    def accepting(self, caller: Caller, run_id: UUID) -> Generator[Room | None]:
        """The room for this run; None for any number. Raises LimitReached."""
        if caller.owns == LAPTOP.owns:  # a cron's run comes with fewer scopes
            yield None
            return
        whose = (caller.tenant, caller.user)
        beside = self._accepting.setdefault(whose, [])
        if len(beside) >= self._most:
            raise self.reached()
        room = Room(self._most - len(beside) - 1, tuple(beside))
        beside.append(run_id)
        try:
            yield room
        finally:
            beside.remove(run_id)
            if not beside:
                del self._accepting[whose]

    def reached(self) -> LimitReached:
        return LimitReached(
            f"You have {self._most} unfinished runs. Wait for the end of one, or cancel it.",
            limit="user_runs",
            value=f"{self._most} unfinished runs",
            retry_after=RETRY_SECONDS,
        )
