"""Clients as people write them: the real SDK, one address for several processes, the same key for each repetition."""

from __future__ import annotations

import asyncio
import random
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast
from uuid import uuid4

import httpx
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.schema import RunCreateMetadata, StreamPart

Kind = Literal["stream", "wait", "background"]
KINDS: tuple[Kind, ...] = ("stream", "wait", "background")

RETRY_SECONDS = 0.2
TIMEOUT = httpx.Timeout(connect=5, read=300, write=30, pool=None)

# The SDK says so each time it reconnects, which here is the aim.
warnings.filterwarnings("ignore", message="Request failed, attempting reconnect")


class Balanced(httpx.AsyncBaseTransport):
    """Sends each request to the next process that takes connections, as a load balancer does."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses  # the cluster's list, as it is now
        self._next = random.randrange(1000)
        # Idle connections stay: httpcore closes one that has expired also when a request was just given to it. With 0.05 s
        # three of three runs of test_races ended with a ReadError of that, with 5 s (the default) some under load.
        limits = httpx.Limits(max_connections=None, keepalive_expiry=None)
        self._transport = httpx.AsyncHTTPTransport(limits=limits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for _ in range(len(self._addresses)):
            self._next += 1
            address = httpx.URL(self._addresses[self._next % len(self._addresses)])
            request.url = request.url.copy_with(host=address.host, port=address.port)
            try:
                return await self._transport.handle_async_request(request)
            except httpx.ConnectError:
                continue
        raise httpx.ConnectError("no process takes connections", request=request)

    async def aclose(self) -> None:
        await self._transport.aclose()


def client_of(addresses: Sequence[str]) -> LangGraphClient:
    return LangGraphClient(httpx.AsyncClient(base_url="http://service", transport=Balanced(addresses), timeout=TIMEOUT))


@dataclass
class Caller:
    """One client and its one run: what it asked, and all it was told."""

    kind: Kind
    thread_id: str = field(default_factory=lambda: str(uuid4()))
    said: str = field(default_factory=lambda: uuid4().hex)
    key: str = field(default_factory=lambda: uuid4().hex)
    run_id: str | None = None
    parts: list[StreamPart] = field(default_factory=list[StreamPart])
    values: Any = None
    repetitions: int = 0  # requests sent again, beside what the SDK does by itself

    @property
    def accepted(self) -> bool:
        return self.run_id is not None

    def created(self, run: RunCreateMetadata) -> None:
        self.run_id = run["run_id"]

    async def call(self, client: LangGraphClient, pause: float, **options: Any) -> None:
        """To the run's end, whatever it takes."""
        asked: dict[str, Any] = {
            "input": {"said": [self.said], "pause": pause},
            "if_not_exists": "create",
            "headers": {"Idempotency-Key": self.key},
            "on_run_created": self.created,
            **options,
        }
        while True:
            try:
                await {"stream": self._stream, "wait": self._wait, "background": self._background}[self.kind](
                    client, asked
                )
            except httpx.HTTPError as failure:
                if not worth_another_try(failure):
                    raise
                self.repetitions += 1
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def _stream(self, client: LangGraphClient, asked: dict[str, Any]) -> None:
        modes: Any = ["values", "updates"]
        runs = cast("Any", client.runs)  # the SDK types a stream by its modes, which it cannot know here
        if self.run_id is None:
            parts = runs.stream(self.thread_id, "five", stream_mode=modes, stream_resumable=True, **asked)
        else:
            last = self.parts[-1].id if self.parts else None
            parts = runs.join_stream(self.thread_id, self.run_id, stream_mode=modes, last_event_id=last)
        async for part in parts:
            self.parts.append(part)

    async def _wait(self, client: LangGraphClient, asked: dict[str, Any]) -> None:
        if self.run_id is None:
            self.values = await client.runs.wait(self.thread_id, "five", **asked)
        else:
            self.values = await client.runs.join(self.thread_id, self.run_id)

    async def _background(self, client: LangGraphClient, asked: dict[str, Any]) -> None:
        if self.run_id is None:
            await client.runs.create(self.thread_id, "five", stream_mode=["values", "updates"], **asked)
        assert self.run_id
        self.values = await client.runs.join(self.thread_id, self.run_id)


def worth_another_try(failure: httpx.HTTPError) -> bool:
    """What a careful client repeats with the same key: no answer, or one that says later."""
    if isinstance(failure, httpx.HTTPStatusError):
        return failure.response.status_code == 429 or failure.response.status_code >= 500
    return isinstance(failure, httpx.TransportError)
