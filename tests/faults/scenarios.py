"""The faults, each on fifty runs in flight: what is done to the cluster, and when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from tests.faults.cluster import Stage
from tests.faults.invariants import Thaw
from tests.faults.load import Figures, loaded, now, settle
from tests.faults.postgres import OwnPostgres, StopMode, cut_connections
from tests.service.processes import Running

RUNS = 50
LEASE_SECONDS = 10.0  # app/runtime/leases.py
IN_STEP_SECONDS = 0.7  # the second of five steps of half a second


async def nothing(stage: Stage) -> Figures:
    async with loaded(stage.cluster.client(), RUNS) as load:
        return await settle("nothing happens", load, now(stage), stage)


async def kill(stage: Stage, victim: Running, offset: float) -> Figures:
    async with loaded(stage.cluster.client(), RUNS) as load:
        await asyncio.sleep(offset)
        since = now(stage)
        stage.cluster.kill(victim)
        return await settle(f"kill -9, {offset:g} s after the last was accepted", load, since, stage)


async def terminate(stage: Stage, victim: Running) -> Figures:
    async with loaded(stage.cluster.client(), RUNS) as load:
        await asyncio.sleep(IN_STEP_SECONDS)
        since = now(stage)
        exits = [await stage.cluster.terminate(victim)]
        return await settle("SIGTERM", load, since, stage, exits)


async def replace_each(stage: Stage) -> Figures:
    """A rolling deploy under load: a new process for each old one, then SIGTERM for the old one."""
    exits: list[float] = []
    async with loaded(stage.cluster.client(), RUNS // 2) as load:
        since = now(stage)
        for old in list(stage.cluster.processes):
            await stage.cluster.start()
            load.add(RUNS // 2)
            await load.accepted()
            since = now(stage)
            exits.append(await stage.cluster.terminate(old))
        return await settle("SIGTERM of each in turn, replaced", load, since, stage, exits)


async def stop_postgres(stage: Stage, postgres: OwnPostgres, mode: StopMode, away: float) -> Figures:
    async with loaded(stage.cluster.client(), RUNS) as load:
        await asyncio.sleep(IN_STEP_SECONDS)
        since, stopped = now(stage), time.monotonic()
        await asyncio.to_thread(postgres.stop, mode)
        await asyncio.sleep(away)
        await asyncio.to_thread(postgres.start)
        outage = time.monotonic() - stopped
        figures = await settle(f"PostgreSQL stopped ({mode}), started after {away:g} s", load, since, stage)
        return replace(figures, outage_seconds=outage)


async def cut_all_connections(stage: Stage) -> Figures:
    async with loaded(stage.cluster.client(), RUNS) as load:
        since = now(stage)
        for _ in range(4):
            await asyncio.sleep(0.4)
            assert cut_connections(stage.database_url)
        return await settle("all connections cut, four times", load, since, stage)


async def freeze(stage: Stage, victim: Running) -> Figures:
    """It comes back after its lease, in the middle of its steps, and does not know that others did them."""
    async with loaded(stage.cluster.client(), RUNS) as load:
        await asyncio.sleep(IN_STEP_SECONDS)
        since = now(stage)
        stage.cluster.freeze(victim)
        await asyncio.sleep(LEASE_SECONDS + 3)  # another has taken its runs up, and is in their steps
        thaw = Thaw(victim.process.pid, now(stage))
        stage.cluster.thaw(victim)
        return await settle("frozen for longer than its lease", load, since, stage, thaws=[thaw])


async def lose_wake_ups(stage: Stage, away: Callable[[], None], back: Callable[[], None]) -> Figures:
    """Valkey goes in the middle and comes back; PostgreSQL has everything that matters."""
    async with loaded(stage.cluster.client(), RUNS // 2) as load:
        since = now(stage)
        away()
        load.add(RUNS // 2)
        await load.accepted()
        back()
        return await settle("Valkey gone and back", load, since, stage)
