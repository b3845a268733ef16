"""Waiting for something to become true, with an end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

LIMIT_SECONDS = 30.0


async def eventually(true: Callable[[], object], seconds: float = LIMIT_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not become true in time"
        await asyncio.sleep(0.02)


def eventually_sync(true: Callable[[], object], seconds: float = LIMIT_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.02)


async def eventually_async(true: Callable[[], Awaitable[object]], seconds: float = LIMIT_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not await true():
        assert time.monotonic() < end, "it did not become true in time"
        await asyncio.sleep(0.05)
