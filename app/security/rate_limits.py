"""Limits the rate of requests for all processes together while Valkey answers, and within this process always."""

from __future__ import annotations

import asyncio
import time
from hashlib import blake2b

from app.observability.metrics import Metrics
from app.runtime.valkey_connection import ValkeyConnection
from app.security.buckets import LocalBuckets, Rate
from app.security.shared_buckets import Away, SharedBuckets


class RateLimits:
    """Without Valkey each process has buckets of its own, so several together let through more."""

    def __init__(self, valkey: ValkeyConnection | None, metrics: Metrics) -> None:
        self._local = LocalBuckets()
        self._shared = SharedBuckets(valkey) if valkey else None
        metrics.limits_degraded.set_function(lambda: self.reason_degraded() is not None)

    async def stay_open(self) -> None:
        await (self._shared.stay_open() if self._shared else asyncio.Event().wait())

    async def take(self, limit: str, whose: str, rate: Rate) -> float:
        """Takes a token: 0, or how many seconds until there is one. Never fails."""
        key = f"{limit}:{blake2b(whose.encode(), digest_size=16).hexdigest()}"  # no name or address lies in Valkey
        if self._shared:
            try:
                return await self._shared.take(key, rate)
            except Away:
                pass
        return self._local.take(key, rate, time.monotonic())

    def reason_degraded(self) -> str | None:
        """Why a process limits by itself though Valkey is configured."""
        if self._shared is None or self._shared.reason is None:
            return None
        return f"each process limits requests by itself: Valkey cannot be used ({self._shared.reason})"
