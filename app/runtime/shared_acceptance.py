"""Accepts runs on threads that are made for them: many in one statement, each claimed in the act."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from psycopg.errors import LockNotAvailable

from app.runtime.database import Pool
from app.runtime.grouping import Grouped
from app.runtime.leases import LEASE_SECONDS
from app.runtime.run import Claim, NewRun, Outcome, Run
from app.runtime.worker import Worker
from app.tables import run_acceptance
from app.tables.run_acceptance import Acceptance

PATIENCE_SECONDS = 0.05  # with a thread that is just being made or deleted: the others of the statement wait too


@dataclass(frozen=True)
class Begun:
    """A run that this process executes; None as its ending says that it goes on elsewhere."""

    run: Run
    ending: asyncio.Future[Outcome | None]


class AcceptanceWithThread:
    def __init__(self, pool: Pool, worker: Worker | None) -> None:
        self._worker = worker
        self._insert = Grouped[Acceptance, Run | None](
            pool,
            partial(run_acceptance.insert_with_threads, lease_seconds=LEASE_SECONDS, patience_seconds=PATIENCE_SECONDS),
            size=lambda acceptance: len(acceptance.encoded),
            repeats=False,  # it would find the thread that it made itself
        )

    async def accept(self, new: NewRun) -> Begun | None:
        """None without a free slot, when the thread exists or is just being made, or when the user has too many."""
        worker, asked_at = self._worker, asyncio.get_running_loop().time()
        reserved = worker.reserve() if worker else None
        if worker is None or reserved is None:
            return None
        run: Run | None = None
        try:
            with suppress(LockNotAvailable):
                run = await self._insert(Acceptance(new, worker=reserved))
        finally:
            if run is None:
                worker.free()
        return Begun(run, worker.begin(claim_of(run, new), asked_at)) if run else None


def claim_of(run: Run, new: NewRun) -> Claim:
    """Of a run that was claimed as it was accepted."""
    return Claim(
        run_id=run.run_id,
        thread_id=run.thread_id,
        graph_id=run.graph_id,
        encoded=bytes(run.request),
        recorded=run.recorded,
        fence=run.fence,
        failures=0,
        trace_context=new.trace_context,
        cancel_action=None,
        waited_seconds=0,
        tenant=new.caller.tenant,
        owner=new.caller.user,
        has_webhook=new.webhook is not None,
    )
