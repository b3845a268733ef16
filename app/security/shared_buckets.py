"""Token buckets in Valkey, one for all processes. Its clock is the only one; a bucket that is full is no key."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import cast

from valkey.asyncio import Connection
from valkey.exceptions import ValkeyError

from app.runtime.signal_path import FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS
from app.runtime.valkey_connection import ValkeyConnection, open_connection
from app.security.buckets import Rate

log = logging.getLogger(__name__)

PREFIX = "agent:limit:"  # the service's user may use keys agent:* only (infra/aws/cache.py)
BATCH = 200
ANSWER_SECONDS = 0.5  # requests wait for it: later, this process limits by itself

# Microseconds fit a double exactly; Lua would print such a number with 14 digits.
SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local waits = {}
for i, key in ipairs(KEYS) do
    local interval, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local full_at = math.max(tonumber(redis.call('GET', key) or now), now) + interval
    local wait = full_at - now - burst * interval
    if wait <= 0 then
        redis.call('SET', key, string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
        wait = 0
    end
    waits[i] = wait
end
return waits
"""


class Away(Exception):
    """Valkey did not answer."""


class SharedBuckets:
    """All that is asked within one turn of the event loop goes in one call of the script."""

    def __init__(self, valkey: ValkeyConnection) -> None:
        self._valkey = valkey
        self._asked: list[tuple[str, Rate, asyncio.Future[float]]] = []
        self._work = asyncio.Event()
        self.reason: str | None = "not connected yet"

    async def take(self, key: str, rate: Rate) -> float:
        """Takes a token: 0, or how many seconds until there is one. Raises Away."""
        if self.reason is not None:
            raise Away
        answer: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._asked.append((key, rate, answer))
        self._work.set()
        return await answer

    async def stay_open(self) -> None:
        delay = FIRST_DELAY_SECONDS
        while True:
            try:
                await self._answer_forever()
            except Exception as failure:  # whatever it was, the next attempt may succeed
                delay = FIRST_DELAY_SECONDS if self.reason is None else min(2 * delay, LONGEST_DELAY_SECONDS)
                self._lose(failure)
            await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311  no secret depends on it

    async def _answer_forever(self) -> None:
        connection = await open_connection(self._valkey)
        try:
            script = cast("bytes", await _call(connection, "SCRIPT", "LOAD", SCRIPT))
            await self._take(connection, script, [("check", Rate(1, 1))])  # it may write, or say why not
            self.reason = None
            log.info("requests are limited for all processes together, by Valkey")
            while True:
                await self._work.wait()
                self._work.clear()
                while self._asked:
                    asked = self._asked[:BATCH]
                    waits = await self._take(connection, script, [(key, rate) for key, rate, _ in asked])
                    del self._asked[: len(asked)]
                    for (_, _, answer), wait in zip(asked, waits, strict=True):
                        if not answer.done():  # its request may have been cancelled
                            answer.set_result(wait)
        finally:
            await connection.disconnect(nowait=True)

    async def _take(self, connection: Connection, script: bytes, buckets: Sequence[tuple[str, Rate]]) -> list[float]:
        keys = [PREFIX + key for key, _ in buckets]
        numbers = [number for _, rate in buckets for number in (round(1e6 / rate.per_second), rate.burst)]
        waits = cast("list[int]", await _call(connection, "EVALSHA", script, len(keys), *keys, *numbers))
        return [wait / 1e6 for wait in waits]

    def _lose(self, failure: Exception) -> None:
        if self.reason != type(failure).__name__:
            # Only errors whose text cannot quote a connection string.
            text = str(failure).strip() if isinstance(failure, ValkeyError | OSError) else ""
            fields = {"error": type(failure).__name__, "reason": text}
            log.warning("Valkey is away: each process limits requests by itself", extra={"fields": fields})
        self.reason = type(failure).__name__
        asked, self._asked = self._asked, []
        for _, _, answer in asked:
            if not answer.done():
                answer.set_exception(Away())


async def _call(connection: Connection, *words: str | bytes | int) -> object:
    async with asyncio.timeout(ANSWER_SECONDS):
        await connection.send_command(*words)
        return cast("object", await connection.read_response())
