"""Follows all runs of a thread, one after the other, in whichever process they are accepted and executed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager

from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from app.runtime.database import Pool
from app.runtime.problems import UnknownRun, UnknownThread
from app.runtime.run import Outcome, Run, RunRequest
from app.runtime.signals import Signals
from app.runtime.streaming import LOOK_AGAIN_SECONDS, RETRY_SECONDS, EventLog
from app.runtime.topics import THREADS, thread_changed
from app.security.caller import Caller
from app.tables import runs, threads
from app.tables.run_events import Event
from app.tables.runs import LateRun

REMIND_SECONDS = 20.0  # how often a process that follows threads says so
BELIEVED_SECONDS = 60.0  # for how long the others then tell of the runs they accept: two reminders may be lost
JUST_NOW_SECONDS = 10.0


class ThreadWatch:
    """Tells followers of a thread that something began there; costs nothing while nobody follows any."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._followed: Counter[str] = Counter()
        self._others_until = 0.0

    def changed(self, thread_id: str) -> None:
        if thread_id in self._followed or asyncio.get_running_loop().time() < self._others_until:
            self._signals.publish(thread_changed(thread_id))

    def leave(self) -> None:
        """Whoever follows a thread here looks again, and sees that this process leaves."""
        self._signals.publish(*(thread_changed(thread_id) for thread_id in self._followed))

    @contextmanager
    def following(self, thread_id: str) -> Generator[asyncio.Event]:
        """The event is set when a run was accepted, or the state changed by hand."""
        self._followed[thread_id] += 1
        self._signals.publish(THREADS)
        try:
            with self._signals.subscribe(thread_changed(thread_id)) as woken:
                yield woken
        finally:
            self._followed[thread_id] -= 1
            self._followed += Counter()  # drops what nobody follows any more

    async def attend_forever(self) -> None:
        """Hears that other processes follow threads, and says that this one does."""
        loop = asyncio.get_running_loop()
        with self._signals.subscribe(THREADS) as heard:
            while True:
                try:
                    async with asyncio.timeout(REMIND_SECONDS):
                        await heard.wait()
                    self._others_until = loop.time() + BELIEVED_SECONDS
                    await asyncio.sleep(REMIND_SECONDS / 4)
                    heard.clear()
                except TimeoutError:
                    pass
                if self._followed:
                    self._signals.publish(THREADS)


class ThreadStreams:
    """What threads show, for any number of followers."""

    def __init__(self, pool: Pool, events: EventLog, watch: ThreadWatch) -> None:
        self._pool = pool
        self._events = events
        self._watch = watch

    async def present(self, caller: Caller, thread_id: str) -> int:
        """The number to follow from for what happens from now on, the run in progress from its beginning."""
        found = await self._late(caller, thread_id)
        return next((late.run.number for late in found if not late.run.ended), _after(found))

    async def begun(self, caller: Caller, thread_id: str, *, again: bool) -> int:
        """The same for the event streaming protocol, whose clients begin to follow after they have started a run.

        That run may have ended by then: it is told of, and so is the question that a thread waits at. A run whose end
        was told to who started it is not, unless `again`: who comes to the thread for another run would take it for
        that one's.
        """
        found = await self._late(caller, thread_id)
        for late in found:
            asks = late is found[-1] and late.run.status == "interrupted"
            missed = late.just_begun and RunRequest.decoded(late.run.request).protocol and (again or not late.end_told)
            if not late.run.ended or asks or missed:
                return late.run.number
        return _after(found)

    async def told(self, run: Run) -> None:
        """Its end was, to who started it."""
        async with self._pool.connection() as connection:
            await runs.mark_end_told(connection, run.run_id)

    async def _late(self, caller: Caller, thread_id: str) -> list[LateRun]:
        async with self._pool.connection() as connection:
            if await threads.get(connection, caller, thread_id) is None:
                raise UnknownThread(f"thread_id={thread_id!r}: no such thread.", field="thread_id")
            return await runs.late(connection, caller, thread_id, JUST_NOW_SECONDS)

    async def follow(
        self, caller: Caller, thread_id: str, number: int, after: int = 0
    ) -> AsyncGenerator[tuple[Run | None, Event | Outcome | Run | None]]:
        """Each run from `number` on with its events, then its end; of the first the events after the one of that id.

        Without a run, or without what happened to it, when nothing happens. Ends with the thread, or when this process
        leaves.
        """
        with self._watch.following(thread_id) as woken:
            patience = iter(LOOK_AGAIN_SECONDS)
            while not self._events.left:
                woken.clear()
                try:
                    run = await self._next(caller, thread_id, number)
                except (OperationalError, PoolTimeout):
                    yield None, None
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                except UnknownThread:
                    return
                if run is None:
                    yield None, None
                    try:
                        async with asyncio.timeout(next(patience, LOOK_AGAIN_SECONDS[-1])):
                            await woken.wait()
                    except TimeoutError:
                        pass
                    continue
                patience = iter(LOOK_AGAIN_SECONDS)
                try:
                    async for item in self._events.follow(run.run_id, after if run.number == number else 0):
                        yield run, item
                except UnknownRun:
                    pass  # taken back
                number, after = run.number + 1, 0

    async def _next(self, caller: Caller, thread_id: str, number: int) -> Run | None:
        async with self._pool.connection() as connection:
            run = await runs.first_from(connection, caller, thread_id, number)
            if run is None and await threads.get(connection, caller, thread_id) is None:
                raise UnknownThread(f"thread_id={thread_id!r}: no such thread.", field="thread_id")
            return run


def _after(found: list[LateRun]) -> int:
    return found[-1].run.number + 1 if found else 0
