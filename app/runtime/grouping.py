"""Calls that wait for the database share its statements: whatever arrives while one runs goes together into the next."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Generic, TypeVar

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from app.runtime.database import Pool

Request = TypeVar("Request")
Answer = TypeVar("Answer")
Execute = Callable[[AsyncConnection[DictRow], Sequence[Request]], Awaitable[Sequence[Answer]]]

MOST_CALLS = 64
MOST_BYTES = 1_048_576  # of one statement: psycopg and libpq each hold a copy of it
MOST_TRIES = 3


@dataclass(slots=True)
class _Call(Generic[Request, Answer]):
    request: Request
    answer: asyncio.Future[Answer]
    tries: int = 0
    under_way: asyncio.Future[None] | None = None  # its statement, done when that is


class Grouped(Generic[Request, Answer]):
    """One statement at a time, so that calls take effect in their order.

    Two or four at a time were no faster, not even with 3 ms for each commit: the groups only got smaller.
    """

    def __init__(
        self,
        pool: Pool,
        execute: Execute[Request, Answer],
        size: Callable[[Request], int] = lambda _: 0,
        *,
        repeats: bool = True,
    ) -> None:
        """A lost connection does not tell whether `execute` took effect: it is repeated if it `repeats`."""
        self._pool = pool
        self._execute = execute
        self._size = size
        self._repeats = repeats
        self._waiting: deque[_Call[Request, Answer]] = deque()
        self._alone = 0  # how many of the first calls go by themselves
        self._worker: asyncio.Task[None] | None = None

    async def __call__(self, request: Request) -> Answer:
        call = _Call[Request, Answer](request, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        self._start()
        try:
            return await call.answer
        except asyncio.CancelledError:
            if call.under_way:  # it takes effect all the same: what the caller does next comes after it
                await asyncio.wait([call.under_way])
            raise

    def _start(self) -> None:
        if self._worker is None or self._worker.done():
            # A context of its own: the first caller's would be kept, and traced, for everybody's statements.
            self._worker = asyncio.create_task(self._work(), name="grouped-statements", context=Context())

    async def _work(self) -> None:
        try:
            async with self._pool.connection() as connection:
                while self._waiting and not connection.closed:
                    await self._run(connection, self._take())
        except Exception as failure:  # no connection: every caller gets the reason
            while self._waiting:
                call = self._waiting.popleft()
                if not call.answer.done():
                    call.answer.set_exception(failure)
        self._worker = None
        if self._waiting:  # came while the connection went back to the pool
            self._start()

    def _take(self) -> list[_Call[Request, Answer]]:
        group = [self._waiting.popleft()]
        if self._alone:
            self._alone -= 1
            return group
        size = self._size(group[0].request)
        while self._waiting and len(group) < MOST_CALLS:
            size += self._size(self._waiting[0].request)
            if size > MOST_BYTES:
                break
            group.append(self._waiting.popleft())
        return group

    async def _run(self, connection: AsyncConnection[DictRow], group: list[_Call[Request, Answer]]) -> None:
        group = [call for call in group if not call.answer.done()]  # a cancelled caller wants no answer
        if not group:
            return
        under_way = asyncio.get_running_loop().create_future()
        for call in group:
            call.under_way = under_way
        try:
            answers = await self._execute(connection, [call.request for call in group])
        except Exception as failure:
            self._repeat_or_fail(group, failure, lost=connection.closed)
        else:
            for call, answer in zip(group, answers, strict=True):
                if not call.answer.done():
                    call.answer.set_result(answer)
        finally:
            under_way.set_result(None)

    def _repeat_or_fail(self, group: list[_Call[Request, Answer]], failure: Exception, *, lost: bool) -> None:
        """A lost connection is no answer; and what one call did wrong must not fail its neighbours."""
        again = self._repeats if lost else len(group) > 1
        if again and not lost:
            self._alone += len(group)
        for call in reversed(group):
            call.tries += 1
            if again and call.tries < MOST_TRIES:
                self._waiting.appendleft(call)
            elif not call.answer.done():
                call.answer.set_exception(failure)
