"""What begins by itself, begins once, and what is to be told is told: processes are killed, and their clocks are wrong."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.faults.clients import client_of
from tests.faults.cluster import Stage, open_stage
from tests.faults.postgres import OwnPostgres
from tests.service.database import statement
from tests.service.waiting import eventually
from tests.service.webhook_receivers import receiver

pytestmark = pytest.mark.anyio

CRONS = 6
DELAYED = 6
ROUNDS = 2
KILLS = 2
NEVER = "0 0 29 2 *"  # by itself not during this test; the test makes its times come
INPUT = {"lines": ["a:0"]}
HOUR = 3600.0


@asynccontextmanager
async def killed_at_random(stage: Stage, *shifts: float) -> AsyncGenerator[None]:
    """Meanwhile one process after the other is killed, and another takes its place."""

    async def kill() -> None:
        for shift in shifts:
            await asyncio.sleep(random.uniform(0.2, 2.5))
            stage.cluster.kill(random.choice(stage.cluster.processes))
            await stage.cluster.start(clock_shift=shift)

    killing = asyncio.create_task(kill())
    try:
        yield
    finally:
        await killing


async def test_crons_and_delayed_runs_begin_once_and_their_ends_are_told_whatever_is_killed(calm: OwnPostgres) -> None:
    database = calm.new_database()
    settings = {"webhook_private_hosts": "127.0.0.1"}
    with receiver(503, 200) as hook:
        async with open_stage(database, calm.new_effects(), roles=(), **settings) as stage:
            for shift in (HOUR, -HOUR):
                await stage.cluster.start(clock_shift=shift)
            client: Any = client_of(stage.cluster.addresses)
            for _ in range(CRONS):
                await client.crons.create(
                    "lines", schedule=NEVER, input=INPUT, webhook=hook.url, on_run_completed="keep"
                )
            async with killed_at_random(stage, *[random.choice((HOUR, -HOUR, 0)) for _ in range(KILLS)]):
                for number in range(ROUNDS):
                    await delayed_runs(stage, hook.url)
                    statement(database, "UPDATE crons SET next_run_at = now(), attempt_at = now()")
                    await eventually(
                        lambda: not statement(database, "SELECT FROM crons WHERE next_run_at <= now()"), 60
                    )
                    await asyncio.sleep(1.1 if number + 1 < ROUNDS else 0)  # a firing is known by its second
            await eventually(lambda: not statement(database, "SELECT FROM runs WHERE ended_at IS NULL"), 90)
            await eventually(lambda: all_told(database), 120)

            runs = statement(database, "SELECT run_id::text, status, metadata FROM runs")
            assert {run["status"] for run in runs} == {"success"}
            firings = Counter(
                (run["metadata"]["cron_id"], run["metadata"]["scheduled_at"])
                for run in runs
                if "cron_id" in run["metadata"]
            )
            assert sorted(Counter(cron_id for cron_id, _ in firings).values()) == [ROUNDS] * CRONS
            assert set(firings.values()) == {1}
            delayed = Counter(run["metadata"]["number"] for run in runs if "number" in run["metadata"])
            assert len(delayed) == ROUNDS * DELAYED
            assert set(delayed.values()) == {1}
            early = "SELECT FROM runs WHERE metadata ? 'number' AND started_at < created_at + interval '1 s'"
            assert statement(database, early) == []
            assert {told["headers"]["webhook-id"] for told in hook.received(200)} >= {run["run_id"] for run in runs}
            assert stage.cluster.unforeseen() == []


def all_told(database: str) -> bool:
    """The pauses between attempts grow to days: a lost one and a refused one make it minutes, which are cut short."""
    long = "UPDATE webhooks SET due_at = now() WHERE due_at > now() + interval '60 s'"
    statement(database, long)
    return not statement(database, "SELECT FROM webhooks")


async def delayed_runs(stage: Stage, url: str) -> None:
    """Accepted by whichever process lives; a request that meets a kill is sent again with its key."""
    client: Any = stage.cluster.client()
    known = statement(stage.database_url, "SELECT count(*) AS runs FROM runs")[0]["runs"]
    for number in range(DELAYED):
        name = f"{known}-{number}"
        await _again(
            client.runs.create,
            None,
            "lines",
            input=INPUT,
            metadata={"number": name},
            after_seconds=1,
            on_completion="keep",
            webhook=url,
            headers={"idempotency-key": name},
        )


async def _again(call: Any, *positional: Any, **arguments: Any) -> None:
    for _ in range(50):
        try:
            await call(*positional, **arguments)
        except Exception:
            await asyncio.sleep(0.2)
        else:
            return
    raise AssertionError("no process took the request")
