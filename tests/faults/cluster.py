"""The service's processes as a cluster has them: several, replaced, killed, frozen; and the address that stands for all."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from langgraph_sdk.client import LangGraphClient

from tests.faults.clients import client_of
from tests.service.processes import Running, Services

CONFIG = Path(__file__).parent / "project" / "langgraph.json"
WRONG_CLOCK = Path(__file__).parent / "wrong_clock"
STOP_SECONDS = 100.0
UNFORESEEN = ("failed and begins again", "a run's worker failed", "a request failed")


@dataclass(frozen=True)
class ProjectServices(Services):
    """Service processes with variables of their own, beside the service's settings."""

    variables: Mapping[str, str] = field(default_factory=dict[str, str])

    def environment(self, **settings: object) -> dict[str, str]:
        return {**super().environment(**settings), **self.variables}


@dataclass
class Cluster:
    """Processes on one database. `addresses` is what a load balancer would have: those that take new requests."""

    folder: Path
    settings: Mapping[str, object]
    effects_url: str
    processes: list[Running] = field(default_factory=list[Running], init=False)
    roles: dict[int, str] = field(default_factory=dict[int, str], init=False)  # process id → role
    addresses: list[str] = field(default_factory=list[str], init=False)
    _numbers: count[int] = field(default_factory=count, init=False)

    async def start(self, role: str = "all", clock_shift: float = 0, **settings: object) -> Running:
        variables = {"EFFECTS_URL": self.effects_url}
        if clock_shift:
            variables |= {"CLOCK_SHIFT_SECONDS": str(clock_shift), "PYTHONPATH": str(WRONG_CLOCK)}
        services = ProjectServices(self.folder, variables)
        name = f"{role}-{next(self._numbers)}"
        wanted = {"config": CONFIG, "role": role, **self.settings, **settings}
        running = await asyncio.to_thread(services.start, name, **wanted)
        self.processes.append(running)
        self.roles[running.process.pid] = role
        if role != "worker":
            self.addresses.append(running.url)
        return running

    async def start_several(self, *roles: str) -> None:
        """The first ones, in this order."""
        self.processes = list(await asyncio.gather(*(self.start(role) for role in roles)))

    def client(self) -> LangGraphClient:
        return client_of(self.addresses)

    def kill(self, running: Running) -> None:
        """As kill -9 or a lost node."""
        self._leave(running)
        running.process.kill()
        running.process.wait()

    async def terminate(self, running: Running) -> float:
        """As Kubernetes does it: no new requests, SIGTERM. The seconds until the process has ended."""
        self._hide(running)
        started = time.monotonic()
        running.process.terminate()
        code = await asyncio.to_thread(running.process.wait, STOP_SECONDS)
        taken = time.monotonic() - started
        self._leave(running)
        assert code == 0, f"it ended with {code} after SIGTERM"
        return taken

    def freeze(self, running: Running) -> None:
        """It stops in the middle of what it does, and does not know; its connections stay."""
        running.process.send_signal(signal.SIGSTOP)
        self._hide(running)

    def thaw(self, running: Running) -> None:
        running.process.send_signal(signal.SIGCONT)
        if self.roles[running.process.pid] != "worker":
            self.addresses.append(running.url)

    def unforeseen(self) -> list[str]:
        """What the service itself calls unforeseen, in the logs of all processes so far."""
        found: list[str] = []
        for file in sorted(self.folder.glob("*.log")):
            for line in file.read_text().splitlines():
                if any(text in line for text in UNFORESEEN):
                    found.append(f"{file.stem}: {line}")
        return found

    def end(self) -> None:
        for running in self.processes:
            running.process.kill()
            running.process.wait()

    def _leave(self, running: Running) -> None:
        self._hide(running)
        self.processes.remove(running)

    def _hide(self, running: Running) -> None:
        if running.url in self.addresses:
            self.addresses.remove(running.url)


@dataclass(frozen=True)
class Stage:
    """A cluster, its database as it is reached without any pooler, and where its steps' effects go."""

    cluster: Cluster
    database_url: str
    effects_url: str


@asynccontextmanager
async def open_stage(
    database_url: str, effects_url: str, /, roles: Sequence[str] = ("all", "all"), **settings: object
) -> AsyncGenerator[Stage]:
    with TemporaryDirectory(prefix="agent-faults-") as folder:
        cluster = Cluster(Path(folder), {"database_url": database_url} | settings, effects_url)
        try:
            await cluster.start_several(*roles)
            yield Stage(cluster, database_url, effects_url)
        finally:
            cluster.end()
