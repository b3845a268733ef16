"""Streams of runs: every event is committed before anybody sees it, so a stream can be resumed from any process."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from app.observability.metrics import Metrics
from app.runtime.database import Pool
from app.runtime.problems import UnknownRun
from app.runtime.run import Claim, Outcome, Run
from app.runtime.signals import Signals
from app.runtime.topics import ATTENTION, changed
from app.tables import run_events, runs
from app.tables.run_events import Event

log = logging.getLogger(__name__)

MOST_WAITING = 2_000  # events of this process that are not committed yet; beyond it graphs wait
BATCH = 500
PAGE = 500
RECENT = 1_000  # events a live run keeps in memory for followers in this process
RETRY_SECONDS = 0.25
# In case a wake-up was lost with its connection, or the run ended in the moment in which its follower came.
LOOK_AGAIN_SECONDS = (0.2, 1.0, 5.0)

MOST_REPEATED = 100  # tasks of one step
CACHED = b',"__metadata__":{"cached":true}}'


@dataclass
class LiveRun:
    """A run that this process executes, as its followers here see it."""

    claim: Claim
    next_id: int
    recent: deque[Event] = field(default_factory=lambda: deque[Event](maxlen=RECENT))  # committed ones
    waiting: int = 0
    followed_elsewhere: bool = False
    shown: set[tuple[str, bytes]] = field(default_factory=set[tuple[str, bytes]])  # by earlier claims, see _is_repeated


class EventLog:
    """Writes the events of all runs of this process, many in one statement while the database is busy."""

    def __init__(self, pool: Pool, signals: Signals, metrics: Metrics) -> None:
        self._pool = pool
        self._signals = signals
        self._metrics = metrics
        self._live: dict[UUID, LiveRun] = {}
        self._queue: deque[tuple[LiveRun, Event]] = deque()
        self._filled = asyncio.Event()
        self._drained = asyncio.Condition()
        self._followers: dict[UUID, set[asyncio.Event]] = {}
        self._ended: dict[UUID, tuple[LiveRun | None, Outcome]] = {}  # while somebody here follows the run
        self._left = False

    async def open(self, claim: Claim, *, accepted_here: bool) -> LiveRun:
        """Continues after the last event of any earlier claim."""
        live = LiveRun(claim, next_id=1, followed_elsewhere=not accepted_here)
        if not claim.is_first:
            async with self._pool.connection() as connection:
                live.next_id += await run_events.newest(connection, claim.run_id)
                live.shown = _repeatable(await run_events.newest_states(connection, claim.run_id, MOST_REPEATED))
        self._live[claim.run_id] = live
        return live

    async def emit(self, live: LiveRun, event: str, data: bytes) -> None:
        """Waits only while too much is not committed yet."""
        if live.shown and _is_repeated(live, event, data):
            return
        self._queue.append((live, Event(live.next_id, event, data)))
        live.next_id += 1
        live.waiting += 1
        self._filled.set()
        if len(self._queue) >= MOST_WAITING:
            async with self._drained:
                await self._drained.wait_for(lambda: len(self._queue) < MOST_WAITING)

    async def flushed(self, live: LiveRun) -> bool:
        """True when all its events are committed, or dropped because the claim is lost."""
        if live.waiting:
            async with self._drained:
                await self._drained.wait_for(lambda: not live.waiting)
        return True

    def close(self, live: LiveRun) -> None:
        """The run ended or goes on elsewhere; followers read the table from here on."""
        if self._is_open(live):
            del self._live[live.claim.run_id]

    async def write_forever(self) -> None:
        while True:
            await self._filled.wait()
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            if not self._queue:
                self._filled.clear()
            await self._write(batch)
            for live, _ in batch:
                live.waiting -= 1
            async with self._drained:
                self._drained.notify_all()

    async def _write(self, batch: list[tuple[LiveRun, Event]]) -> None:
        while True:
            # A run that was closed meanwhile lost its claim: its events have no place any more.
            batch = [(live, event) for live, event in batch if self._is_open(live)]
            if not batch:
                return
            try:
                async with self._pool.connection() as connection:
                    rows = [(live.claim.run_id, live.claim.fence, event) for live, event in batch]
                    held = await run_events.append(connection, rows)
            except (OperationalError, PoolTimeout) as failure:
                log.warning("events not written yet", extra={"fields": {"error": type(failure).__name__}})
                await asyncio.sleep(RETRY_SECONDS)
            else:
                break
        self._metrics.events_written.inc(len(batch))
        touched: dict[UUID, LiveRun] = {}
        for live, event in batch:
            if live.claim.run_id in held:
                live.recent.append(event)
            else:
                self.close(live)  # nobody here may be told what another worker tells differently
            touched[live.claim.run_id] = live
        for run_id in touched:
            self.wake(run_id)
        elsewhere = [changed(run_id) for run_id, live in touched.items() if live.followed_elsewhere]
        if elsewhere:
            self._signals.publish(*elsewhere)

    def _is_open(self, live: LiveRun) -> bool:
        return self._live.get(live.claim.run_id) is live

    def tell_others(self) -> None:
        """A process follows a run it does not execute: which one is not said, so all present ones are told of."""
        for live in self._live.values():
            live.followed_elsewhere = True
        self._signals.publish(*(changed(run_id) for run_id in self._live))

    async def follow(
        self, run_id: UUID, after: int, *, queued: bool = False
    ) -> AsyncGenerator[Event | Outcome | Run | None]:
        """The run's events with an id above `after`, then its outcome, or the run itself, when it has ended.

        None when nothing happens. Works in any process; ends without the run when this process leaves. Raises
        UnknownRun when the run is gone, as after a roll-back. A run that was `queued` a moment ago has nothing to show
        yet, and whoever claims it takes it for one that is followed.
        """
        with self._signals.subscribe(changed(run_id)) as woken, self._followed(run_id, woken):
            if run_id not in self._live and not queued:
                self._signals.publish(ATTENTION)
            patience = iter(LOOK_AGAIN_SECONDS)
            while not self._left:
                woken.clear()
                try:
                    end, events = (None, []) if queued else await self._look(run_id, after)
                    queued = False
                except (OperationalError, PoolTimeout):
                    yield None  # the stream outlives the database's absence
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                for event in events:
                    after = event.id
                    yield event
                if events:
                    continue
                if end is not None:
                    yield end
                    return
                try:
                    async with asyncio.timeout(next(patience, LOOK_AGAIN_SECONDS[-1])):
                        await woken.wait()
                except TimeoutError:
                    yield None

    @property
    def left(self) -> bool:
        return self._left

    def leave(self) -> None:
        """Ends every stream here, after its last event that is committed."""
        self._left = True
        for run_id in self._followers:
            self.wake(run_id)

    async def kept(self, run_id: UUID) -> bool:
        """Whether the run's events are in the table still."""
        async with self._pool.connection() as connection:
            return await run_events.newest(connection, run_id) > 0

    def ended(self, run_id: UUID, live: LiveRun | None, outcome: Outcome) -> None:
        """Tells who follows it here, without the database: of a run that was queued it would take six statements."""
        if run_id in self._followers:
            self._ended[run_id] = live, outcome
            self.wake(run_id)

    def wake(self, run_id: UUID) -> None:
        """Whoever follows the run in this process looks again."""
        for woken in self._followers.get(run_id, ()):
            woken.set()

    @contextmanager
    def _followed(self, run_id: UUID, woken: asyncio.Event) -> Generator[None]:
        followers = self._followers.setdefault(run_id, set())
        followers.add(woken)
        try:
            yield
        finally:
            followers.discard(woken)
            if not followers:
                self._followers.pop(run_id, None)
                self._ended.pop(run_id, None)

    async def _look(self, run_id: UUID, after: int) -> tuple[Outcome | Run | None, list[Event]]:
        """New events; and how the run ended, if that was before they were read."""
        live, outcome = self._ended.get(run_id) or (self._live.get(run_id), None)
        if outcome and (live is None or live.next_id <= after + 1):
            return outcome, []
        if live:
            recent = live.recent
            if not outcome and (not recent or recent[-1].id <= after):
                return None, []
            if recent and recent[0].id <= after + 1:
                return None, [event for event in recent if event.id > after]
        async with self._pool.connection() as connection:
            run = await runs.present(connection, run_id)
            if run is None:
                raise UnknownRun(f"run_id={run_id}: no such run.", field="run_id")
            events = await run_events.after(connection, run_id, after, PAGE) if run.recorded else []
            return (run if run.ended else None), events


def _repeatable(events: Sequence[Event]) -> set[tuple[str, bytes]]:
    """Of states the newest, of updates all; `events` are newest first."""
    found: dict[str, tuple[str, bytes]] = {}
    for event in events:
        name = event.event if event.event.startswith("values") else str(event.id)
        found.setdefault(name, (event.event, event.data))
    return set(found.values())


def _is_repeated(live: LiveRun, event: str, data: bytes) -> bool:
    """Whether an earlier claim has shown it.

    LangGraph begins a graph that it takes up again with the state it goes on from, and with the results of the present
    step that it finds stored. These are marked, and were shown before they were stored (see RunTask).
    """
    mode = event.partition("|")[0]
    if mode not in {"values", "updates"}:
        return False
    if mode == "updates" and data.endswith(CACHED):
        data = data.removesuffix(CACHED) + b"}"
    elif mode == "updates" or (event, data) not in live.shown:
        live.shown.clear()  # from here on everything is new
        return False
    shown = (event, data) in live.shown
    live.shown.discard((event, data))
    return shown
