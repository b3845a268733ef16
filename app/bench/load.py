"""Clients that ask one target for runs: without a pause, or as people who think between their turns."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from math import inf
from uuid import uuid4

import uvloop

from app.bench.client import Answer, Connection
from app.bench.servers import HOST, Server
from app.bench.targets import Kind, Target, is_whole
from app.failures import Exit, Refused

START_SECONDS = 90.0
LONGEST_PAUSE = 3.0  # of a person; the shortest is a third of it


@dataclass
class Load:
    """What the clients saw."""

    answers: list[Answer] = field(default_factory=list[Answer])  # whole ones
    errors: int = 0
    unfinished: int = 0  # of the errors: answered as if all were well, without the run's final state
    seconds: float = 0

    def ms(self, part: float, time_of: str = "seconds") -> float | None:
        """A percentile over the whole answers."""
        times = sorted(found for answer in self.answers if (found := getattr(answer, time_of)) is not None)
        return 1000 * times[int(part * (len(times) - 1))] if times else None

    async def ask(self, connection: Connection, target: Target, kind: Kind, thread_id: str) -> bool:
        question = f"question {uuid4()}"
        answer = await connection.post(*target.request(kind, thread_id, question))
        whole = is_whole(kind, answer, question)
        if whole:
            answer.parts.clear()
            self.answers.append(answer)
        else:
            self.errors += 1
            self.unfinished += answer.status == 200
        return whole


def load(
    server: Server, target: Target, kind: Kind, clients: int, *, seconds: float = inf, runs: int | None = None
) -> Load:
    """Each client asks again as soon as it has its answer, always on a new thread, for so long or so many times."""
    tickets = count() if runs is None else iter(range(runs))
    return uvloop.run(_gather(server, target, [kind] * clients, seconds, tickets, people=False))


def converse(server: Server, target: Target, people: int, seconds: float) -> Load:
    """Each has a thread and thinks before each turn; every other one reads streams."""
    kinds: list[Kind] = ["stream" if number % 2 else "wait" for number in range(people)]
    return uvloop.run(_gather(server, target, kinds, seconds, count(), people=True))


async def _gather(
    server: Server, target: Target, kinds: list[Kind], seconds: float, tickets: Iterable[int], *, people: bool
) -> Load:
    seen, started = Load(), time.perf_counter()

    async def client(kind: Kind) -> None:
        connection, own_thread = Connection(HOST, server.port, server.headers), str(uuid4())
        for _ in tickets:
            if people:
                await asyncio.sleep(random.uniform(LONGEST_PAUSE / 3, LONGEST_PAUSE))  # noqa: S311  no secret
            await seen.ask(connection, target, kind, own_thread if people else str(uuid4()))
            if time.perf_counter() >= started + seconds:
                break
        connection.close()

    await asyncio.gather(*map(client, kinds))
    seen.seconds = time.perf_counter() - started
    return seen


def warm_up(server: Server, target: Target) -> None:
    """Until it has its connections and prepared statements. Raises Refused when it does not start."""
    end = time.monotonic() + START_SECONDS
    while not load(server, target, "wait", 1, runs=1).answers:
        if not server.process.is_running() or time.monotonic() > end:
            raise Refused(
                f"{server.name} does not answer; its log ends:\n{server.log.read_text()[-2000:]}", Exit.FAILED
            )
        time.sleep(0.2)
    load(server, target, "wait", 16, seconds=1)
