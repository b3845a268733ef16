"""Faults at random under steady load: what happens, to whom and when follows from the seed alone."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from tests.faults.cluster import Stage
from tests.faults.invariants import Thaw
from tests.faults.load import Figures, Load, now, settle
from tests.faults.postgres import OwnPostgres, StopMode, cut_connections
from tests.service.processes import Running

MOST_IN_FLIGHT = 40
PAUSES = (0.02, 0.1, 0.5)


@dataclass
class Schedule:
    """One round on one stage, whose database is on `postgres`."""

    stage: Stage
    postgres: OwnPostgres
    seed: int
    done: Counter[str] = field(default_factory=Counter[str])
    thaws: list[Thaw] = field(default_factory=list[Thaw])
    _frozen: dict[int, Running] = field(default_factory=dict[int, Running])
    _thawing: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    async def run(self, seconds: float, least: int = 0) -> Figures:
        """For so long and so many faults, and until everything has been repaired and every run has ended."""
        load = Load(self.stage.cluster.client())
        working = asyncio.create_task(self._keep_busy(load))
        since = now(self.stage)
        try:
            await self._break_things(seconds, least)
            working.cancel()
            await self._repair()
            figures = await settle(f"seed {self.seed}", load, since, self.stage, thaws=self.thaws)
        finally:
            working.cancel()
            load.cancel()
        dead = [running.log.stem for running in self.stage.cluster.processes if running.process.poll() is not None]
        figures.findings.violations += [f"process {name} ended by itself" for name in dead]
        figures.findings.violations += self.stage.cluster.unforeseen()
        return figures

    async def _keep_busy(self, load: Load) -> None:
        chance = random.Random(self.seed + 1)
        while True:
            if load.in_flight < MOST_IN_FLIGHT:
                load.add(chance.randint(1, 4), chance.choice(PAUSES))
            await asyncio.sleep(chance.uniform(0.05, 0.4))

    async def _break_things(self, seconds: float, least: int) -> None:
        chance, end = random.Random(self.seed), time.monotonic() + seconds
        faults: Mapping[str, Callable[[random.Random], Awaitable[None]]] = {
            "kill": self._kill,
            "terminate": self._terminate,
            "freeze": self._freeze,
            "cut": self._cut,
            "stop": self._stop_postgres,
        }
        while time.monotonic() < end or self.done.total() < least:
            await asyncio.sleep(chance.uniform(0.2, 3))
            name = chance.choice(list(faults))
            await faults[name](chance)
            self.done[name] += 1

    async def _kill(self, chance: random.Random) -> None:
        victim = self._victim(chance)
        role = self.stage.cluster.roles[victim.process.pid]
        self._frozen.pop(victim.process.pid, None)
        self.stage.cluster.kill(victim)
        await self.stage.cluster.start(role)

    async def _terminate(self, chance: random.Random) -> None:
        victim = self._victim(chance)
        if victim.process.pid in self._frozen:
            self._thaw(victim)
        role = self.stage.cluster.roles[victim.process.pid]
        if first := chance.random() < 0.5:
            await self.stage.cluster.start(role)
        await self.stage.cluster.terminate(victim)
        if not first:
            await self.stage.cluster.start(role)

    async def _freeze(self, chance: random.Random) -> None:
        victim, seconds = self._victim(chance), chance.uniform(0.5, 14)
        if self._frozen:  # somebody has to be awake
            return
        self._frozen[victim.process.pid] = victim
        self.stage.cluster.freeze(victim)

        async def thaw_later() -> None:
            await asyncio.sleep(seconds)
            if victim.process.pid in self._frozen:
                self._thaw(victim)

        task = asyncio.create_task(thaw_later())
        self._thawing.add(task)
        task.add_done_callback(self._thawing.discard)

    def _thaw(self, running: Running) -> None:
        del self._frozen[running.process.pid]
        self.thaws.append(Thaw(running.process.pid, now(self.stage)))
        self.stage.cluster.thaw(running)

    async def _cut(self, _: random.Random) -> None:
        cut_connections(self.stage.database_url)

    async def _stop_postgres(self, chance: random.Random) -> None:
        mode: StopMode = chance.choice(("fast", "immediate"))
        away = chance.choice((0.0, chance.uniform(0, 6)))
        await asyncio.to_thread(self.postgres.stop, mode)
        await asyncio.sleep(away)
        await asyncio.to_thread(self.postgres.start)

    async def _repair(self) -> None:
        for running in list(self._frozen.values()):
            self._thaw(running)
        if not self.postgres.running:
            await asyncio.to_thread(self.postgres.start)

    def _victim(self, chance: random.Random) -> Running:
        return chance.choice(self.stage.cluster.processes)
