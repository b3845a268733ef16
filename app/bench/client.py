"""An HTTP connection that leaves the machine to the servers: httpx would take as much CPU for a request as they do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import httptools
import orjson


@dataclass
class Answer:
    """What came back; times in seconds from the request on. Status 0: the connection broke."""

    status: int = 0
    parts: list[bytes] = field(default_factory=list[bytes])
    seconds: float = 0
    first_event: float | None = None
    first_values: float | None = None


class Connection(asyncio.Protocol):
    """One request at a time; opened again when the server closed it."""

    def __init__(self, host: str, port: int, headers: Mapping[str, str]) -> None:
        self._address = host, port
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._transport: asyncio.Transport | None = None
        self._answer = Answer()
        self._done: asyncio.Future[None] | None = None

    async def post(self, path: str, body: dict[str, Any]) -> Answer:
        loop = asyncio.get_running_loop()
        try:
            if self._transport is None or self._transport.is_closing():
                await loop.create_connection(lambda: self, *self._address)
        except OSError:
            return Answer()
        content = orjson.dumps(body)
        head = f"POST {path} HTTP/1.1\r\nhost: {self._address[0]}\r\ncontent-type: application/json\r\n{self._headers}"
        self._parser = httptools.HttpResponseParser(self)
        self._answer, self._done, self._started = Answer(), loop.create_future(), time.perf_counter()
        request = f"{head}content-length: {len(content)}\r\n\r\n".encode() + content
        cast("asyncio.Transport", self._transport).write(request)
        await self._done
        return self._answer

    def close(self) -> None:
        if self._transport:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._finish()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """The parser calls this and the next."""
        answer = self._answer
        answer.parts.append(body)
        if answer.first_event is None and b"event: " in body:
            answer.first_event = time.perf_counter() - self._started
        if answer.first_values is None and b"event: values" in body:
            answer.first_values = time.perf_counter() - self._started

    def on_message_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()
        self._finish()

    def _finish(self) -> None:
        if self._done and not self._done.done():
            self._answer.seconds = time.perf_counter() - self._started
            self._done.set_result(None)
