"""The loop that claims: it gets what waits, and leaves slots to what is accepted meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
from psycopg import OperationalError

from app.observability.metrics import Metrics
from app.runtime import signals as signalling
from app.runtime import worker as loop
from app.runtime.database import Pool
from app.runtime.run import Claim, RunRequest
from app.runtime.run_queue import RunQueue
from app.runtime.signals import Signals
from app.runtime.topics import WORK
from app.runtime.worker import Worker
from app.tables import run_claims
from app.tables.runs import Connection
from tests.service.application import STEPWISE, OpenClient
from tests.service.run_queue.queueing import accepted, rows
from tests.service.waiting import eventually, eventually_async

pytestmark = pytest.mark.anyio

NONE = cast("Any", None)
BODY = {"assistant_id": "stepwise", "if_not_exists": "create"}


@pytest.fixture
def looks_are_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the one that follows the opening of the signals comes at once, before there is anything to find."""
    monkeypatch.setattr(loop, "LOOK_AGAIN_SECONDS", 3600.0)
    monkeypatch.setattr(signalling, "SETTLE_SECONDS", 0.01)


@dataclass
class Queue:
    """What stands behind a worker whose claims are answered by the test: with nobody, when it says so."""

    others: Callable[..., Awaitable[list[Claim]]]  # for the workers of other tests' servers in this process
    worker_id: UUID | None = None
    looks: list[int] = field(default_factory=list[int])  # how many runs each asked for
    answer: asyncio.Event = field(default_factory=asyncio.Event)
    failure: Exception | None = None

    async def claim(
        self, connection: Connection, worker: UUID, limit: int, seconds: float, *, suspects: bool = False
    ) -> list[Claim]:
        if worker != self.worker_id:
            return await self.others(connection, worker, limit, seconds, suspects=suspects)
        if suspects:
            return []
        self.looks.append(limit)
        await self.answer.wait()
        if self.failure:
            raise self.failure
        return []


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> Queue:
    queue = Queue(run_claims.claim)
    monkeypatch.setattr(run_claims, "claim", queue.claim)
    return queue


@asynccontextmanager
async def claiming(pool: Pool, signals: Signals, behind: Queue, slots: int) -> AsyncGenerator[Worker]:
    """A worker that has found nobody in the queue."""
    worker = Worker(pool, NONE, NONE, NONE, signals, Metrics(), slots)
    behind.worker_id = worker.id
    task = asyncio.create_task(worker.claim_forever())
    await eventually(lambda: behind.looks)
    assert worker.reserve() is None  # nobody knows yet who waits
    behind.answer.set()
    await eventually(lambda: worker.reserve() is not None)
    worker.free()
    yield worker
    task.cancel()


@pytest.mark.usefixtures("looks_are_rare")
async def test_while_it_looks_half_of_the_free_slots_are_for_what_is_accepted_here(
    pool: Pool, signals: Signals, behind: Queue
) -> None:
    async with claiming(pool, signals, behind, slots=4) as worker:
        behind.answer.clear()
        signals.publish(WORK)
        await eventually(lambda: len(behind.looks) == 2)
        assert [worker.reserve() for _ in range(3)] == [worker.id, worker.id, None]
        assert behind.looks == [4, 2]


@pytest.mark.usefixtures("looks_are_rare")
async def test_after_a_look_that_failed_nothing_is_begun_before_what_may_wait(
    pool: Pool, signals: Signals, behind: Queue
) -> None:
    async with claiming(pool, signals, behind, slots=4) as worker:
        behind.failure = OperationalError("away")
        signals.publish(WORK)
        await eventually(lambda: len(behind.looks) == 2)
        await eventually(lambda: worker.reserve() is None)


async def test_without_a_free_slot_it_knows_of_nobody_and_looks_when_there_is_one(
    pool: Pool, signals: Signals, behind: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LOOK_AGAIN_SECONDS", 0.01)
    async with claiming(pool, signals, behind, slots=1) as worker:
        await eventually(worker.reserve)
        await asyncio.sleep(0.1)
        worker.free()
        assert worker.reserve() is None


@pytest.mark.usefixtures("looks_are_rare")
async def test_one_word_that_somebody_waits_is_enough_for_all_who_do(
    open_client: OpenClient, pool: Pool, queue: RunQueue, tmp_path: Path
) -> None:
    held = RunRequest(input={"reached": str(tmp_path / "reached"), "release": str(tmp_path / "release")})
    async with open_client(config=STEPWISE, worker_slots=8) as client:
        await client.post("/threads/t/runs/wait", json=BODY)  # from here on it knows that nobody waits
        for _ in range(7):
            await accepted(
                queue, graph_id="stepwise", assistant_id="stepwise", request=held
            )  # its signals lead nowhere
        await client.post("/threads/t/runs", json={**BODY, "after_seconds": 3600})

        async def all_run() -> bool:
            found = await rows(pool, "SELECT count(*) AS running FROM runs WHERE status = 'running'")
            return found == [{"running": 7}]

        await eventually_async(all_run)
        (tmp_path / "release").touch()


@pytest.mark.usefixtures("looks_are_rare")
@pytest.mark.parametrize("strategy", ["enqueue", "interrupt", "rollback"])
async def test_the_next_run_on_a_thread_begins_as_the_one_before_ends(
    stepwise: httpx.AsyncClient, tmp_path: Path, strategy: str
) -> None:
    await stepwise.post("/threads/other/runs/wait", json=BODY)
    held = {"reached": str(tmp_path / "reached"), "release": str(tmp_path / "release")}
    await stepwise.post("/threads/t/runs", json={**BODY, "input": held})
    await eventually((tmp_path / "reached").exists)
    second = {**BODY, "input": {"steps": ["second"]}, "multitask_strategy": strategy}
    run_id = (await stepwise.post("/threads/t/runs", json=second)).json()["run_id"]
    (tmp_path / "release").touch()

    async def has_ended() -> bool:
        return (await stepwise.get(f"/threads/t/runs/{run_id}")).json()["status"] == "success"

    await eventually_async(has_ended)
