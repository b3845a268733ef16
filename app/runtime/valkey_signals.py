"""Wake-ups by Valkey's publish and subscribe: they spare PostgreSQL a commit for each batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any, cast

import orjson
from valkey.asyncio import Connection
from valkey.exceptions import ConnectionError as NotConnected

from app.runtime.signal_path import BATCH, Events, SignalPath
from app.runtime.valkey_connection import ValkeyConnection, open_connection

ANSWER_SECONDS = 2.0  # until then a publication waits; later it takes the other path

CHANNEL = "agent:signals"  # the service's user may use keys and channels agent:* only (infra/aws/cache.py)


class ValkeyPath(SignalPath):
    """A message is a JSON list of the sender's id and topics. One connection listens, since it may do nothing else."""

    name = "Valkey"

    def __init__(self, sender: str, events: Events, check_seconds: float, valkey: ValkeyConnection) -> None:
        super().__init__(sender, events, check_seconds)
        self._valkey = valkey
        self._own = f"{CHANNEL}:{sender}"
        self._one_command = asyncio.Lock()
        self._listening: Connection | None = None
        self._speaking: Connection | None = None

    async def send(self, topics: Sequence[str]) -> bool:
        if not self.is_open:
            return False
        try:
            for start in range(0, len(topics), BATCH):
                message = orjson.dumps([self._sender, *topics[start : start + BATCH]])
                await self._command("PUBLISH", CHANNEL, message)
        except Exception as failure:  # whatever it was, the path is in doubt
            self._fail(failure)
            return False
        return True

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            for_listening = await open_connection(self._valkey)
            stack.push_async_callback(partial(for_listening.disconnect, nowait=True))
            self._speaking = await open_connection(self._valkey)
            stack.push_async_callback(partial(self._speaking.disconnect, nowait=True))
            async with asyncio.timeout(ANSWER_SECONDS):
                await for_listening.send_command("SUBSCRIBE", CHANNEL, self._own)
                for _ in (CHANNEL, self._own):
                    await for_listening.read_response()
            self._listening = for_listening
            yield

    def _duties(self) -> Sequence[Coroutine[Any, Any, None]]:
        return [self._listen(), self._check()]

    async def _listen(self) -> None:
        while self._listening is not None:
            silence = 2 * self._check_seconds
            message = cast("list[bytes] | None", await self._listening.read_response(timeout=silence))
            if message is None:
                raise NotConnected("nothing was heard, not even from ourselves")
            self._hear(message)

    async def _check(self) -> None:
        """The whole way, to ourselves: written, published and heard."""
        while True:
            # A primary that was demoted goes on taking PUBLISH, for its own clients alone; it refuses to write.
            await self._command("SET", self._own, "", "EX", 60)
            await self._command("PUBLISH", self._own, "")
            await asyncio.sleep(self._check_seconds)

    async def _command(self, *words: str | bytes | int) -> None:
        async with self._one_command, asyncio.timeout(ANSWER_SECONDS):
            if self._speaking is None or not self._speaking.is_connected:
                raise NotConnected("the connection is closed")
            await self._speaking.send_command(*words)
            await self._speaking.read_response()

    def _hear(self, message: Sequence[bytes]) -> None:
        kind, channel, text = message
        if kind != b"message" or channel.decode() != CHANNEL:
            return
        with suppress(ValueError, TypeError):  # a stranger's message is no reason to stop listening
            sender, *topics = orjson.loads(text)
            if sender != self._sender:
                self._events.heard(topics)
