"""Many callers at once, and what was measured of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from langgraph_sdk.client import LangGraphClient

from tests.faults.clients import KINDS, Caller
from tests.faults.cluster import Stage
from tests.faults.invariants import Findings, Thaw, all_ended, examine, rows
from tests.service.waiting import eventually

SETTLE_SECONDS = 120.0


@dataclass
class Load:
    """Callers at work; `finish` waits for all of them."""

    client: LangGraphClient
    callers: list[Caller] = field(default_factory=list[Caller])
    _tasks: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    def add(self, count: int, pause: float = 0.5) -> None:
        for number in range(count):
            caller = Caller(KINDS[number % len(KINDS)])
            self.callers.append(caller)
            self._tasks.append(asyncio.create_task(caller.call(self.client, pause)))

    @property
    def in_flight(self) -> int:
        return sum(not task.done() for task in self._tasks)

    async def accepted(self) -> None:
        """Every caller has been told its run's id."""
        await eventually(lambda: self._failed() or all(caller.accepted for caller in self.callers))

    async def finish(self) -> None:
        """Raises what a caller could not go on from."""
        async with asyncio.timeout(SETTLE_SECONDS):
            await asyncio.gather(*self._tasks)

    def _failed(self) -> bool:
        return any(task.done() and not task.cancelled() and task.exception() for task in self._tasks)

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()


@asynccontextmanager
async def loaded(client: LangGraphClient, count: int, pause: float = 0.5) -> AsyncGenerator[Load]:
    load = Load(client)
    load.add(count, pause)
    try:
        await load.accepted()
        yield load
    finally:
        load.cancel()


@dataclass
class Figures:
    """One scenario: what was found, and how long it took from the fault to the last run's end."""

    name: str
    runs: int
    done_seconds: float
    exit_seconds: list[float]
    findings: Findings
    repetitions: int  # requests that clients had to send again
    outage_seconds: float = 0  # of the database


def now(stage: Stage) -> datetime:
    """By the database's clock, as the times of runs and effects are."""
    return rows(stage.effects_url, "SELECT clock_timestamp() AS now")[0]["now"]


async def settle(
    name: str,
    load: Load,
    since: datetime,
    stage: Stage,
    exits: Sequence[float] = (),
    thaws: Sequence[Thaw] = (),
) -> Figures:
    """Waits for every client and every run, then examines all there is."""
    await load.finish()
    assert await all_ended(stage.database_url, SETTLE_SECONDS), "runs are pending or running still"
    last = rows(stage.database_url, "SELECT max(ended_at) AS last FROM runs")[0]["last"]
    return Figures(
        name=name,
        runs=len(load.callers),
        done_seconds=(last - since).total_seconds(),
        exit_seconds=list(exits),
        findings=examine(stage.database_url, stage.effects_url, load.callers, thaws),
        repetitions=sum(caller.repetitions for caller in load.callers),
    )


QUIET_MACHINE = 3  # a busy machine may take so many times as long


def held(figures: Figures, done_within: float | None = None, exit_within: float | None = None) -> None:
    """Asserts what was promised; prints what was measured, which `python -m tests.faults` shows on a quiet machine."""
    found = figures.findings
    print(
        f"{figures.name}: all {figures.runs} runs done after {figures.done_seconds:.1f} s, exits {figures.exit_seconds},"
        f" {found.repeated_steps} interrupted steps done again, {found.late_effects} late effects,"
        f" {found.attempts} attempts, {found.failures} failures, {figures.repetitions} requests repeated"
    )
    assert not found.violations, "\n".join([f"{len(found.violations)} violations:", *found.violations[:10]])
    if done_within is not None:
        assert figures.done_seconds < QUIET_MACHINE * done_within
    if exit_within is not None:
        assert max(figures.exit_seconds) < QUIET_MACHINE * exit_within
