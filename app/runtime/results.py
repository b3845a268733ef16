"""How a run ended, for whoever waits: pushed by the process that executes it, read from the database elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.runtime.database import Pool
from app.runtime.problems import HandedOver, UnknownRun
from app.runtime.run import Outcome, Run
from app.runtime.run_queue import Accepted
from app.runtime.streaming import EventLog
from app.runtime.threads import Threads
from app.security.caller import Caller
from app.tables import runs


@dataclass(frozen=True)
class Result:
    """The thread's values after a run, and the run's status and error."""

    run_id: UUID
    thread_id: str
    status: str
    values: Any
    error: dict[str, str] | None


class Results:
    """Waits for ends."""

    def __init__(self, pool: Pool, events: EventLog, threads: Threads) -> None:
        self._pool = pool
        self._events = events
        self._threads = threads

    async def of(self, caller: Caller, accepted: Accepted) -> Result:
        """The end of a run that was just accepted. Raises UnknownRun when it was rolled back."""
        if accepted.ending is not None:
            outcome = await accepted.ending
            if outcome is not None:
                return _result(accepted.run, outcome)
        return await self.join(caller, accepted.run.thread_id, accepted.run.run_id, queued=accepted.queued)

    async def join(self, caller: Caller, thread_id: str, run_id: UUID, *, queued: bool = False) -> Result:
        """The end of any run, whichever process has it. Raises HandedOver when this process leaves before."""
        run = None if queued else await self.get(caller, thread_id, run_id)
        if run is not None and run.ended:
            return await self._of_ended(caller, run)
        async for item in self._events.follow(run_id, 2**62, queued=queued):  # no event, only the end
            if isinstance(item, Run):
                return await self._of_ended(caller, item)
            if isinstance(item, Outcome):
                return Result(run_id, thread_id, item.status, item.values, item.error)
        raise HandedOver(f"This process stops. Run {run_id} goes on: ask for its answer again.", retry_after=1)

    async def get(self, caller: Caller, thread_id: str, run_id: UUID) -> Run:
        async with self._pool.connection() as connection:
            run = await runs.get(connection, caller, run_id)
        if run is None or run.thread_id != thread_id:
            raise UnknownRun(f"run_id={run_id}: no such run on thread {thread_id}.", field="run_id")
        return run

    async def ended(self, caller: Caller, thread_id: str, run_id: UUID) -> None:
        """Waits until the run has ended or was taken back."""
        try:
            await self.join(caller, thread_id, run_id)
        except UnknownRun:
            return

    async def of_thread(self, caller: Caller, thread_id: str, status: str | None, limit: int, offset: int) -> list[Run]:
        async with self._pool.connection() as connection:
            return await runs.of_thread(connection, caller, thread_id, status, limit, offset)

    async def _of_ended(self, caller: Caller, run: Run) -> Result:
        snapshot = await self._threads.state(caller, run.thread_id)
        values = snapshot.values
        if run.status == "interrupted":
            if not snapshot.interrupts:  # see Executor.stopped
                checkpoint = snapshot.config.get("configurable")
                values = (await self._threads.state(caller, run.thread_id, checkpoint)).values
            elif isinstance(values, dict):
                values = {**values, "__interrupt__": snapshot.interrupts}
        return Result(run.run_id, run.thread_id, run.status, values, run.error)


def _result(run: Run, outcome: Outcome) -> Result:
    return Result(run.run_id, run.thread_id, outcome.status, outcome.values, outcome.error)
