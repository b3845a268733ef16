"""A network that can fail: a TCP port before a real server, which can be closed, or go silent without closing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.service.backends import free_port

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Proxy:
    """Everything that reaches `port` goes on to the server, as long as the way is up."""

    connect: Callable[[], Awaitable[Streams]]
    port: int = field(default_factory=free_port)
    _server: asyncio.Server | None = field(default=None, init=False)
    _connections: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = field(init=False, default_factory=list)
    _serving: set[asyncio.Task[None]] = field(init=False, default_factory=set[asyncio.Task[None]])
    _silent: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter], init=False)

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def down(self) -> None:
        """Refuses new connections and closes those that there are."""
        if self._server is not None:
            self._server.close()
        self._server = None
        for pair in self._connections:
            for writer in pair:
                writer.close()
        self._connections.clear()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def silence(self, first: int | None = None) -> None:
        """The connections of now, or the first few of them, stay open and say nothing any more; later ones work."""
        self._silent |= {writer for pair in self._connections[:first] for writer in pair}

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward = await self.connect()
        except OSError:
            writer.close()
            return
        if self._server is None:  # it went down meanwhile
            writer.close()
            onward[1].close()
            return
        self._connections.append((writer, onward[1]))
        pumps = self._pump(reader, onward[1]), self._pump(onward[0], writer)
        await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while block := await reader.read(65536):
                if writer not in self._silent:
                    writer.write(block)
        except OSError:
            pass
        if writer not in self._silent:
            writer.close()


@asynccontextmanager
async def proxy_before_port(port: int) -> AsyncGenerator[Proxy]:
    proxy = Proxy(partial(asyncio.open_connection, "127.0.0.1", port))
    await proxy.up()
    try:
        yield proxy
    finally:
        await proxy.down()


@asynccontextmanager
async def proxy_before_database(database_url: str) -> AsyncGenerator[tuple[Proxy, str]]:
    """The proxy, and the connection string of the database through it."""
    database = conninfo_to_dict(database_url)
    socket_file = Path(str(database["host"])) / f".s.PGSQL.{database.get('port') or 5432}"
    proxy = Proxy(partial(asyncio.open_unix_connection, str(socket_file)))
    await proxy.up()
    try:
        yield proxy, make_conninfo(database_url, host="127.0.0.1", port=proxy.port)
    finally:
        await proxy.down()
