"""The signals of several processes, in one: each has connections and an identity of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from app.runtime.signals import Signals
from app.runtime.valkey_connection import ValkeyConnection
from tests.service.backends import RedisServer
from tests.service.waiting import eventually

NEVER = 3600.0  # no check of an idle connection helps a test that is not about it


def reached(server: RedisServer) -> ValkeyConnection:
    return ValkeyConnection("127.0.0.1", server.port, tls=False)


@asynccontextmanager
async def process(
    database_url: str, valkey: ValkeyConnection | None = None, check_seconds: float = NEVER
) -> AsyncGenerator[Signals]:
    """The signals of one process, wherever their paths lead."""
    signals = Signals(lambda: database_url, valkey, check_seconds)
    await signals.open()
    try:
        yield signals
    finally:
        await signals.close()


@asynccontextmanager
async def two_processes(
    database_url: str, valkey: ValkeyConnection | None = None
) -> AsyncGenerator[tuple[Signals, Signals]]:
    async with process(database_url, valkey) as one, process(database_url, valkey) as other:
        await healthy(one, other)
        yield one, other


async def healthy(*all_signals: Signals) -> None:
    await eventually(lambda: not any(signals.reason_degraded() for signals in all_signals))
    await asyncio.sleep(0.25)  # what opening wakes is awake by then


async def woken(event: asyncio.Event, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        await event.wait()


def said(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(str(vars(record)) for record in caplog.records)
