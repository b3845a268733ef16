"""A path to the other processes: opened again whenever it fails, and never silent about whether it is open."""

from __future__ import annotations

import asyncio
import logging
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

from psycopg import OperationalError
from valkey.exceptions import ValkeyError

log = logging.getLogger(__name__)

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 5.0
BATCH = 1000  # topics sent together, at most 8 MB of them


@dataclass(frozen=True)
class Events:
    """What a path reports."""

    heard: Callable[[Sequence[str]], None]  # topics that another process published
    opened: Callable[[SignalPath], None]
    lost: Callable[[SignalPath], None]


class SignalPath(ABC):
    """Open from `opened` to `lost`; in between `send` and what is heard can be relied on."""

    name: ClassVar[str]

    def __init__(self, sender: str, events: Events, check_seconds: float) -> None:
        self._sender = sender
        self._events = events
        self._check_seconds = check_seconds  # a path that died silently is found within twice this time
        self._broken: asyncio.Future[None] | None = None
        self._said = ""  # why it is away, as the log has it already
        self.reason: str | None = "not connected yet"

    @abstractmethod
    def _connected(self) -> AbstractAsyncContextManager[None]:
        """Connects and subscribes; disconnects at the end."""

    @abstractmethod
    def _duties(self) -> Sequence[Coroutine[Any, Any, None]]:
        """What has to go on while the path is open: each ends only by an exception."""

    @abstractmethod
    async def send(self, topics: Sequence[str]) -> bool:
        """Whether the path took them all."""

    @property
    def is_open(self) -> bool:
        return self.reason is None

    async def stay_open(self) -> None:
        loop = asyncio.get_running_loop()
        delay = FIRST_DELAY_SECONDS
        while True:
            opened = loop.time()
            self._broken = loop.create_future()
            try:
                async with self._connected():
                    opened = loop.time()
                    await self._hold(self._broken)
            except Exception as failure:  # whatever it was, the next attempt may succeed
                self._lose(failure)
            held = loop.time() - opened > LONGEST_DELAY_SECONDS
            delay = FIRST_DELAY_SECONDS if held else min(2 * delay, LONGEST_DELAY_SECONDS)
            # All processes lose a server at the same moment; they should not come back in step.
            await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311  no secret depends on it

    async def _hold(self, broken: asyncio.Future[None]) -> None:
        duties = [asyncio.create_task(duty) for duty in self._duties()]
        self.reason = None
        if self._said:
            log.info("wake-ups go through %s again", self.name)
        self._said = ""
        self._events.opened(self)
        try:
            ended, _ = await asyncio.wait([*duties, broken], return_when=asyncio.FIRST_COMPLETED)
            ended.pop().result()
        except Exception as failure:
            self._lose(failure)
            raise
        finally:
            await end(duties)

    def _fail(self, failure: Exception) -> None:
        """Called where a failure is seen first: from here on nothing is entrusted to the path."""
        self._lose(failure)
        if self._broken is not None and not self._broken.done():
            self._broken.set_exception(failure)
            self._broken.exception()  # else asyncio reports it where nobody waits for it any more

    def _lose(self, failure: Exception) -> None:
        was_open, self.reason = self.is_open, type(failure).__name__
        # Only errors whose text cannot quote a connection string.
        text = str(failure).strip() if isinstance(failure, OperationalError | ValkeyError | OSError) else ""
        if self._said != self.reason + text:
            fields = {"path": self.name, "error": self.reason, "reason": text}
            log.warning("wake-ups cannot go through %s", self.name, extra={"fields": fields})
            self._said = self.reason + text
        if was_open:
            self._events.lost(self)


async def end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancels until they have ended: wait_for of Python 3.11 may swallow a cancellation (python/cpython#86296)."""
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=0.1)
    await asyncio.gather(*tasks, return_exceptions=True)
